"""The channel as the outside witness: what was posted is held against the ledger, and nothing else counts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient

from bot import witness as reading
from bot.people import People
from bot.witness import Reader, from_file
from core import ask_witness, chain, witness
from core.errors import Refused
from core.redact import SecretStr
from core.settings import Settings, Target
from core.witness import Held, Posted
from demo.workspace import SAMPLE_PEOPLE, Member, Message, Workspace
from tests.tampering import KINDS, campaign, opened
from tests.tampering_forging import at_end, derived, relinked
from tests.tampering_ledger import Office, World, made

CHANNEL = "C0INCIDENTS"
HEAD = "ab" * 32


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return made(tmp_path_factory.mktemp("world"))


@contextmanager
def forged(world: World) -> Iterator[sqlite3.Connection]:
    with closing(opened(world.now)) as db:
        yield db


def held(db: sqlite3.Connection, said: Posted) -> Held:
    assert chain.verify(db).unbroken, "the file alone must not betray it"
    return witness.hold(db, said)


# -- what is found -----------------------------------------------------------------------------------------


def test_random_tamperings_are_all_found(world: World) -> None:
    found = campaign(world, 500, seed=3)
    assert found["missed"] == []
    assert all(sum(counts.values()) >= 500 // len(KINDS) for counts in found["found"].values())
    only = {kind for kind, counts in found["found"].items() if not counts["the file alone"]}
    assert any("rebuild" in kind for kind in only) and any("older copy" in kind for kind in only)


def test_a_post_said_to_be_older_than_all_that_stands_is_beyond_the_witness_and_hides_nothing(world: World) -> None:
    with forged(world) as db:
        event, run, ts = db.execute("SELECT event, run, min(ts) FROM posts WHERE channel = ?", [CHANNEL]).fetchone()
        row = (event, "call more", CHANNEL, f"{float(ts) - 0.01:.6f}", run)
        db.execute("INSERT INTO posts (event, place, channel, ts, run) VALUES (?, ?, ?, ?, ?)", row)
        assert held(db, world.said).faults == ()


def test_a_ledger_that_was_left_alone_agrees_up_to_its_head(world: World) -> None:
    with forged(world) as db:
        found = held(db, world.said)
        assert (found.agree, found.since, found.faults) == (found.witnesses, 0, ()) and found.witnesses > 50
        assert found.newest and found.newest.where.startswith("https://example.slack.com/archives/C0INCIDENTS/p")
        at = '"2026-12-01T00:00:00.000Z"'
        db.execute(
            f"INSERT INTO events SELECT id + 1, {at}, NULL, 'drill_due', NULL, NULL, '{{}}', '', '' FROM events WHERE id = {found.newest.number}"
        )
        relinked(db, found.newest.number + 1, found.newest.number + 1)
        assert held(db, world.said).since == 1


def test_a_chain_that_was_rebuilt_names_the_first_event_that_differs_and_where_it_was_posted(world: World) -> None:
    with forged(world) as db:
        numbers = sorted(one.number for one in world.said.witnesses)
        at = numbers[20]
        db.execute("UPDATE events SET data = json_set(data, '$.note', 'forged') WHERE id = ?", [at])
        relinked(db, at, 10**6)
        derived(db)
        found = held(db, world.said)
        assert (
            f"event {at} was posted as" in found.faults[0] and "https://example.slack.com/archives" in found.faults[0]
        )
        assert found.sound == numbers[19] and found.agree == 20


def test_a_tail_that_was_cut_is_told_from_an_event_that_was_changed(world: World) -> None:
    with forged(world) as db:
        at_end(db, 100)
        found = held(db, world.said)
        assert found.faults and all("its tail was cut" in fault for fault in found.faults)
        assert found.newest and found.newest.number <= 100


def test_an_empty_channel_vouches_for_nothing_and_an_empty_ledger_needs_nobody(world: World, tmp_path: Path) -> None:
    with forged(world) as db:
        assert "nothing vouches for" in held(db, replace(world.said, witnesses=())).faults[0]
        at_end(db, 0)
        assert held(db, Posted((), ("#incidents",))).faults == ()


def test_a_line_that_stands_twice_is_nothing_and_one_that_was_deleted_is_missed(tmp_path: Path) -> None:
    with Workspace() as slack:
        office = Office(tmp_path, slack)

        def faults() -> tuple[str, ...]:
            said = Reader(office.people.client, office.settings, office.people).read()
            return office.ledger.held_against(replace(said, until="9")).faults

        office.people.channel_id("#incidents")
        slack.faults.only, slack.faults.lose_answer = {"chat.postMessage", "conversations.history"}, 3
        office.ledger.append("drill_due", {"target": "production", "period": "1", "owner": "", "last": None})
        office.announcer.catch_up()
        first, second = slack.messages(CHANNEL)
        assert first.text == second.text and faults() == ()
        office.people.client.chat_delete(channel=CHANNEL, ts=second.ts)
        unknown, missing = faults()
        assert f"event 1 (due) in {CHANNEL} at {second.ts}, where none of ours stands" in unknown
        assert "event 1 was posted, but `posts` has no row for it" in missing
        office.ledger.close()


def test_what_another_program_has_read_arrives_as_it_was(world: World) -> None:
    assert ask_witness.read(json.loads(ask_witness.told(world.said))) == world.said


def test_a_package_of_the_working_directory_is_not_taken_for_the_bot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "bot"
    theirs.mkdir()
    (theirs / "__init__.py").touch()
    (theirs / "__main__.py").write_text("from pathlib import Path\nPath('it-ran').touch()\n")
    pasted = tmp_path / "pasted.txt"
    pasted.write_text(f"Audit #1 {'f' * 16}\n")
    monkeypatch.chdir(tmp_path)
    assert [one.number for one in ask_witness.ask(str(pasted)).witnesses] == [1]
    assert not (tmp_path / "it-ran").exists()


# -- who may be heard --------------------------------------------------------------------------------------


class Room:
    """A workspace with a target's channels, and an app beside ours."""

    def __init__(self, slack: Workspace) -> None:
        self.slack = slack
        target = Target("production", SecretStr("postgresql://db/app"), channel="#incidents", channels=("#inc-418",))
        self.settings = Settings(targets={"production": target})
        self.client = WebClient(slack.bot_token, base_url=slack.api_url, retry_handlers=[], timeout=2)

    def read(self) -> Posted:
        return Reader(self.client, self.settings, People(self.client, self.settings)).read()

    def heard(self) -> list[int]:
        return sorted(one.number for one in self.read().witnesses)

    def posts(self, number: int, thread: str | None = None, **more: Any) -> str:
        tag = {"event_type": "rollback_bot", "event_payload": {"run": "RB-7K3M", "event": number, "digest": HEAD}}
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "done"}}]
        extra = {"thread_ts": thread} if thread else {}
        said = {"metadata": tag, "blocks": blocks, **more}
        return str(self.client.chat_postMessage(channel=CHANNEL, text="done", **said, **extra)["ts"])

    def imitates(self, user: str, number: int, thread: str | None = None) -> None:
        """Anybody else posts what ours looks like, metadata and all."""
        state, text = self.slack.state, f"Audit #{number} `{'f' * 16}`"
        tag = {"event_type": "rollback_bot", "event_payload": {"run": "", "event": number, "digest": "f" * 64}}
        state.post(Message(state.new_ts(), CHANNEL, user, text, [small(text)], thread, metadata=tag))


def small(*texts: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text} for text in texts]}


@pytest.fixture
def room() -> Iterator[Room]:
    evil = Member("U0EVIL", "rollback", "rollback", "App", is_bot=True)
    with Workspace(people=(*SAMPLE_PEOPLE, evil)) as slack:
        yield Room(slack)


def test_only_what_our_own_app_posted_and_never_edited_counts(room: Room) -> None:
    card = room.posts(1)
    room.posts(2, card)
    edited = room.posts(3, card)
    room.client.chat_update(channel=CHANNEL, ts=edited, text="done", blocks=[small(f"Audit #9 `{'f' * 16}`")])
    for user in ("U0ANA", "U0EVIL"):
        room.imitates(user, 4)
        room.imitates(user, 5, card)
    said = f"Audit #6 `{'f' * 16}`"
    quoted = {"type": "section", "text": {"type": "mrkdwn", "text": said}}
    room.client.chat_postMessage(channel=CHANNEL, text=said, blocks=[quoted, small(f"because {said}", "Card")])
    room.client.chat_postEphemeral(channel=CHANNEL, user="U0ANA", text=said, blocks=[small(said)])
    thread = room.slack.say("U0ANA", CHANNEL, "what happened?").ts
    room.posts(7, thread)  # in somebody else's thread

    said_all = room.read()

    assert sorted(one.number for one in said_all.witnesses) == [1, 2, 7]
    assert said_all.edited == 1 and {one.digest for one in said_all.witnesses} == {HEAD}


def test_a_message_of_an_earlier_version_counts_by_its_small_print(room: Room) -> None:
    tag = {"event_type": "rollback_bot", "event_payload": {"run": "RB-7K3M", "event": 11}}
    for text in (f"Audit #10 `{HEAD[:16]}`", f"Audit head `{HEAD[:16]}`"):
        room.client.chat_postMessage(channel=CHANNEL, text="x", blocks=[small("Card", text)], metadata=tag)
    assert [(one.number, one.digest) for one in room.read().witnesses] == [(11, HEAD[:16]), (10, HEAD[:16])]


def test_a_long_channel_and_a_long_thread_are_read_to_their_ends_at_the_pace_that_slack_wants(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(reading, "PAGE", 2)
    monkeypatch.setattr(reading.time, "sleep", waited.append)
    card = room.posts(1)
    for number in range(2, 7):
        room.posts(number, card)
    for number in range(7, 12):
        room.posts(number)
    room.slack.faults.only = {"conversations.history", "conversations.replies"}
    room.slack.faults.ratelimit, room.slack.faults.retry_after = 2, 7
    assert room.heard() == list(range(1, 12)) and waited == [7.0, 7.0]


def test_a_thread_whose_first_message_was_deleted_is_still_read_where_a_line_was_broadcast(room: Room) -> None:
    card = room.posts(1)
    room.posts(2, card)
    room.posts(3, card, reply_broadcast=True)
    room.client.chat_delete(channel=CHANNEL, ts=card)
    assert room.heard() == [2, 3]


def test_what_cannot_be_read_is_said_with_the_next_step(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading.time, "sleep", lambda seconds: None)
    state, faults = room.slack.state, room.slack.faults
    room.posts(1)
    state.channels["C0INC418"].members = {"U0ANA"}
    said = room.read()
    assert said.places == ("#incidents",) and said.unread == ("#inc-418: I am not in it. `/invite @rollback` there.",)
    del state.channels["C0INC418"]
    assert "#inc-418: it is gone, or it is private" in room.read().unread[0]

    def refusal() -> str:
        with pytest.raises(Refused) as no:
            room.read()
        return str(no.value)

    state.scopes.discard("channels:history")
    assert "lacks the scope channels:history. Install it again" in refusal() and "(E-CHANNEL)" in refusal()
    faults.errors["auth.test"] = "token_revoked"
    assert "token_revoked" in refusal() and "(E-SLACK)" in refusal()
    faults.errors.clear()
    faults.down = True
    assert "Slack does not answer" in refusal() and "(E-SLACK)" in refusal()
    faults.down, faults.ratelimit, faults.retry_after = False, 10**6, 1
    assert "(E-SLACK)" in refusal()


# -- from a file -------------------------------------------------------------------------------------------


def message(number: int, bot: str | None = "B0BOT", **more: Any) -> dict[str, Any]:
    author = {"user": "U0ANA"} if bot is None else {"user": "U0ROLLBACK", "bot_id": bot}
    return {
        "type": "message",
        "ts": "1.2",
        "text": "x",
        "blocks": [small(f"Audit #{number} `{HEAD[:16]}`")],
        **author,
        **more,
    }


def test_an_export_of_slack_and_pasted_text_are_read_from_files(tmp_path: Path) -> None:
    day = tmp_path / "export" / "incidents" / "2026-11-10.json"
    day.parent.mkdir(parents=True)
    day.write_text(
        json.dumps([message(1), message(2, None), message(3, edited={"ts": "1.3"}), {"blocks": 7, "bot_id": "B"}, 5])
    )
    (day.parent / "answer.json").write_text(json.dumps({"ok": True, "messages": [message(4)]}))
    said = from_file(tmp_path / "export")
    assert [one.number for one in said.witnesses] == [1, 4] and said.edited == 1
    text = tmp_path / "pasted.txt"
    text.write_text(
        f"✓ backup done\nAudit #12 {HEAD[:16]}   14:16:05\nbob: Audit #13\nAudit #14, head `{HEAD.upper()}`\n"
    )
    said = from_file(text)
    assert [(one.number, one.digest, one.where) for one in said.witnesses] == [
        (12, HEAD[:16], "pasted.txt, line 2"),
        (14, HEAD, "pasted.txt, line 4"),
    ]


def test_a_file_that_is_of_no_use_is_refused_with_the_next_step(tmp_path: Path) -> None:
    two, raw, empty = tmp_path / "two.json", tmp_path / "raw", tmp_path / "empty"
    two.write_text(json.dumps([message(1), message(2, "B0EVIL")]))
    raw.write_bytes(b"\xff\xfe\x00")
    empty.mkdir()
    why = {
        two: "several apps (B0BOT, B0EVIL)",
        raw: "no UTF-8 text",
        empty: "no JSON file",
        tmp_path / "none": "no such file",
    }
    for path, words in why.items():
        with pytest.raises(Refused) as no:
            from_file(path)
        assert words in str(no.value) and no.value.hint and no.value.exit == 2
