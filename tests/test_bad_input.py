"""Every wrong input gets one answer: what happened, that nothing was started, what to do, a code. Nothing stays half done.

The answers stand whole in `stories/refusals.txt`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from core.model import Run, State
from demo.bench import ROOT, Bench
from demo.postgres import Server
from demo.workspace import Channel, Message, Workspace, sample_channels
from demo.workspace import payloads
from tests import stand_ins
from tests.bench_fixtures import (
    ANA, BOB, CHANNEL, CHEN, DEE, GUEST, QUICK, STORIES, Play, compare, copied, playing, settings_of, stable,
)  # fmt: skip
from tests.conftest import fresh

PASSWORD = "wrong-horse-9-staple"
SCRIPT_012 = "DROP FUNCTION claim_stripe_event(text, text, jsonb);\nDROP TABLE stripe_events;\n"
PENDING = {"013_plans.sql": "CREATE TABLE plans (id int);\n", "rollback/013_plans.sql": "DROP TABLE plans;\n"}
UNDO_012 = "rollback/012_stripe_events.sql"


@pytest.fixture(scope="module")
def world(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """One bench with a target for each thing that can be wrong with a target."""
    folder = tmp_path_factory.mktemp("world")
    stand_ins.with_password(server, "locked_out", "the-right-one-1")
    with ExitStack() as stack:
        app, bare, odd = (
            next(stack.enter_context(closing(fresh(server, t)))) for t in (template, "template0", template)
        )
        with psycopg.connect(odd) as conn:
            conn.execute("ALTER TABLE schema_migrations RENAME version TO tag")
        name = str(conninfo_to_dict(app)["dbname"])
        pooled = f"postgresql://postgres@{stack.enter_context(stand_ins.pooler(server))}/{name}"
        urls = {
            "down": "postgresql://postgres@/app?host=/nowhere",
            "password": server.url(name, "locked_out").replace("locked_out@", f"locked_out:{PASSWORD}@"),
            "standby": f"postgresql://postgres@/{name}?host={stack.enter_context(stand_ins.standby(server))}",
            "pooled": f"{pooled}?sslmode=disable&gssencmode=disable",
            "bare": bare,
            "odd": odd,
        }
        migrations = copied(folder, dict(PENDING))
        more = "".join(target(name, url, server.url(), migrations) for name, url in urls.items())
        more += target("alone", app, "postgresql://postgres@/x?host=/nowhere", migrations)
        more += target("chens", app, server.url(), migrations) + 'requesters = ["U0CHEN"]\n'
        more += target("gone", app, server.url(), migrations, "#gone")
        more += target("away", app, server.url(), migrations, "#away")
        channels = [*sample_channels(), Channel("C0AWAY", "away", members={ANA, BOB})]
        bench = Bench(
            folder / "bench", server, app, settings_of(more), migrations=migrations,
            workspace=Workspace(channels=channels), env=dict(QUICK),
        )  # fmt: skip
        play = stack.enter_context(playing(bench))
        yield play
        everywhere = [
            bench.log.read_text(),
            str(play.slack.calls),
            bytes(play.bench.ledger.path.read_bytes()).decode("latin-1"),
        ]
        assert not [text for text in everywhere if PASSWORD in text]


@contextmanager
def closing(made: Iterator[str]) -> Iterator[Iterator[str]]:
    """Run a generator to its end afterwards."""
    yield made
    next(made, None)


def target(name: str, url: str, scratch: str, migrations: Path, channel: str = "#incidents") -> str:
    return (
        f'[targets.{name}]\ndatabase_url = "{url}"\nscratch_url = "{scratch}"\nmigrations = "{migrations}"\n'
        f'channel = "{channel}"\napprovers = ["@db-oncall"]\n'
    )


@contextmanager
def changed(play: Play, files: dict[str, str | None]) -> Iterator[None]:
    """Other files in the migrations folder for a moment; None: missing."""
    folder = play.bench.migrations
    before = {name: (folder / name).read_text() for name in files}
    for name, text in files.items():
        (folder / name).unlink() if text is None else (folder / name).write_text(text)
    try:
        yield
    finally:
        for name, text in before.items():
            (folder / name).write_text(text)


def refused(play: Play, text: str, user: str = ANA, channel: str = CHANNEL) -> str:
    """Type it; the answer with a code, as that person reads it."""
    seen = {m.ts for m in play.everything(channel)}
    play.types(text, user, channel)

    def look() -> Message | None:
        new = [m for m in play.everything(channel) if m.ts not in seen and m.ephemeral_for == user]
        return next((m for m in new if re.search(r"E-[A-Z-]+", str(m.blocks))), None)

    found = play.slack.wait_for(look, 30)
    assert found
    with play.slack.state.reading():
        from demo.workspace.text import message_lines

        return stable("\n".join(message_lines(play.slack.state, found)))


def kept(case: str, text: str) -> None:
    """Hold an answer against its part of `refusals.txt`; `GOLDEN=write` keeps it anew (one process only)."""
    file = STORIES / "refusals.txt"
    parts = dict(part.split("\n", 1) for part in file.read_text().split("## ")[1:]) if file.exists() else {}
    if os.environ.get("GOLDEN") == "write":
        parts[case] = text.strip() + "\n\n"
        file.write_text("".join(f"## {name}\n{body}" for name, body in sorted(parts.items())))
    assert text.strip() == parts[case].strip()


def nothing_half_done(play: Play) -> None:
    """No open run, no scratch database, the target as it was."""
    play.slack.wait_for(lambda: not play.ledger.open_runs(), 10)
    play.left_clean()
    assert play.applied() == ["001", "002", "003", "004", "010", "011", "012"]
    assert play.markers() == []


TYPED = {
    "an unknown migration": "011_subscribtions",
    "an ambiguous beginning": "01",
    "a migration that is not applied": "013_plans",
    "nothing after the newest": "to 012_stripe_events",
    "an unknown target": "latest --on prod",
    "an unknown flag": "latest --force",
    "an unknown verb": "histroy",
    "an unknown run": "show RB-2222",
    "a reason that is too short": "latest --reason no",
    "a database that is down": "latest --on down",
    "a wrong password": "latest --on password",
    "a standby": "latest --on standby",
    "a pooler": "latest --on pooled",
    "no history table": "latest --on bare",
    "a history table of an unknown shape": "latest --on odd",
    "a scratch server that is down": "latest --on alone",
    "a target that others may ask for": "latest --on chens",
    "a channel that does not exist": "latest --on gone",
}


@pytest.mark.parametrize("case", TYPED)
def test_what_cannot_be_done_is_refused_in_words(world: Play, case: str) -> None:
    kept(case, refused(world, TYPED[case]))
    nothing_half_done(world)


PLACES = {
    "a guest": (GUEST, CHANNEL, "latest"),
    "another channel": (ANA, "C0RANDOM", "latest"),
    "a shared channel": (ANA, "C0SHARED", "latest"),
    "a channel without the bot": (ANA, "C0AWAY", "latest --on away"),
}


@pytest.mark.parametrize("case", PLACES)
def test_the_wrong_person_or_place_is_refused_in_words(world: Play, case: str) -> None:
    user, channel, text = PLACES[case]
    kept(case, refused(world, text, user, channel))
    nothing_half_done(world)


FILES: dict[str, dict[str, str | None]] = {
    "a missing rollback script": {UNDO_012: None},
    "an empty rollback script": {UNDO_012: "-- nothing here\n"},
    "a script with a psql command": {UNDO_012: "\\set ON_ERROR_STOP on\n" + SCRIPT_012},
    "a script with transaction control": {UNDO_012: "BEGIN;\n" + SCRIPT_012 + "COMMIT;\n"},
    "a script that needs to be outside a transaction": {UNDO_012: "DROP INDEX CONCURRENTLY stripe_events_pkey;\n"},
    "a script with a syntax error": {UNDO_012: "DROP TABEL stripe_events;\n"},
    "an applied migration without files": {UNDO_012: None, "012_stripe_events.sql": None},
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_used_are_refused_in_words(world: Play, case: str) -> None:
    with changed(world, FILES[case]):
        kept(case, refused(world, "latest"))
    nothing_half_done(world)


def test_each_wrong_click_is_answered_and_only_the_right_one_counts(world: Play) -> None:
    play, before = world, {m.ts for m in world.everything()}
    run = play.proven(play.asks("latest"))
    play.clicks(run, "rb.review", ANA)
    play.hears("E-SELF")
    play.clicks(run, "rb.deny", DEE)
    play.hears("E-NOT-APPROVER", DEE)
    play.clicks(run, "rb.withdraw", BOB)
    play.hears("E-NOT-YOURS", BOB)
    refused(play, "011_subscriptions", BOB)
    view = play.reviews(run, BOB)
    assert play.slack.submit(BOB, {"confirm": "12"}).errors == {
        "confirm": "Type 012 exactly. Nothing was approved. (E-TYPED)"
    }
    for user in (BOB, CHEN):
        play.clicks(run, "rb.deny", user)
    for user in (BOB, CHEN):
        play.slack.submit(user, {"reason": f"not now, says {user}"})
    late = play.slack.open_view(CHEN)
    assert late and late.callback_id == "rb.refused" and "E-CLOSED" in play.slack.view_text(late), view.id
    assert play.until(run.id, State.DENIED).ending.actor.id == BOB  # type: ignore[union-attr]
    play.told()
    card = next(m for m in play.everything() if m.ts not in before and "rb.timeline" in str(m.blocks))
    raw_click(play, card, "rb.review", f"{run.id}.1", BOB)
    play.hears("E-CLOSED", BOB)
    other = play.asks("latest")
    raw_click(play, card, "rb.review", f"{other.id}.1", BOB)
    play.hears("E-STALE", BOB)
    assert play.ledger.run(other.id).state is State.WAITING
    play.proven(other)
    play.clicks(other, "rb.withdraw", ANA)
    play.until(other.id, State.WITHDRAWN)
    nothing_half_done(play)
    new = [m for m in play.everything() if m.ts not in before and m.ephemeral_for and "E-" in str(m.blocks)]
    kept("clicks", stable("\n".join(f"{m.ephemeral_for}: {m.text}" for m in new)))


def raw_click(play: Play, message: Message, action_id: str, value: str, user: str) -> None:
    """A click that Slack's own client would not offer."""
    state = play.slack.state
    element = {"type": "button", "action_id": action_id, "value": value, "text": {"type": "plain_text", "text": "x"}}
    with state.changing():
        action = payloads.action_of(element, "block", state.new_ts(), {})
        body = payloads.click_message(state, user, message, action)
    play.slack.click_raw(body)


def test_a_click_on_an_expired_request_is_told_so(stage: object) -> None:
    play: Play = stage('approval_expires = "2 s"\n')  # type: ignore[operator]
    run = play.asks("latest")
    card = play.with_button(run, "rb.review")
    play.reviews(run, BOB)
    play.until(run.id, State.EXPIRED)
    answer = play.slack.submit(BOB, {"confirm": "012"})
    assert answer.view and "E-EXPIRED" in play.slack.view_text(answer.view)
    raw_click(play, card, "rb.deny", f"{run.id}.1", CHEN)
    assert "expired at" in play.hears("E-EXPIRED", CHEN)
    nothing_half_done(play)


def test_every_delivery_twice_counts_once(stage: object) -> None:
    play: Play = stage()  # type: ignore[operator]
    play.slack.faults.deliver_twice = True
    run = play.proven(play.asks("latest"))
    play.approves(run)
    play.until(run.id, State.DONE)
    assert len(play.ledger.runs()) == 1
    assert [kind for kind in play.kinds(run) if kind in ("asked", "approved")] == ["asked", "approved"]


def test_older_client_programs_are_refused(server: Server, stage: object, tmp_path: Path) -> None:
    env = {"ROLLBACK_PG_BIN": str(stand_ins.older_tools(server, tmp_path / "old", 15))}
    play: Play = stage(env=env)  # type: ignore[operator]
    kept("older client programs", refused(play, "latest"))
    nothing_half_done(play)


def test_a_backup_folder_that_is_none_or_is_full_stops_the_run(stage: object, tmp_path: Path) -> None:
    folder, small = tmp_path / "backups", tmp_path / "small"
    folder.write_text("a file")
    small.mkdir()
    play: Play = stage(top=f'backup_dir = "{folder}"')  # type: ignore[operator]
    run = stopped(play)
    kept("a backup folder that is none", str(run.failed and run.failed["message"]))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], capture_output=True).returncode:
        pytest.skip("a full disk needs the right to mount a small one")
    try:
        folder.unlink()
        folder.symlink_to(small)
        run = stopped(play)
        kept("a full disk", re.sub(r"\d+\.\d+ GB", "SIZE", str(run.failed and run.failed["message"])))
        nothing_half_done(play)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def stopped(play: Play) -> Run:
    """`latest`, and the run that a proof has stopped."""
    play.types("latest")
    run = play.newest()
    return play.until(run.id, State.STOPPED)


def test_nobody_may_approve_while_slack_does_not_tell_who_is_in_the_group(stage: object) -> None:
    play: Play = stage()  # type: ignore[operator]
    play.slack.faults.errors = {"usergroups.users.list": "internal_error"}
    run = play.proven(play.asks("latest"))
    play.clicks(run, "rb.review", BOB)
    kept("slack does not tell who is in the group", play.hears("E-CANNOT-CHECK", BOB))
    assert play.ledger.run(run.id).state is State.WAITING


FAULTY = (
    """
default_target = "nowhere"
[targets.production]
database_url = "postgresql://u:%s@/app"
aprovals = 1
approvals = 9
approval_expires = "soon"
channel = "incidents"
"""
    % PASSWORD
)  # noqa: UP031


def test_faulty_settings_are_listed_at_once_by_bot_and_shell(tmp_path: Path) -> None:
    file = tmp_path / "rollback.toml"
    file.write_text(FAULTY)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ROLLBACK_CONFIG": str(file)}
    told = []
    for module, *words in (["bot"], ["core", "status"]):
        done = subprocess.run(
            [sys.executable, "-m", module, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, done.stdout) == (2, "")
        told.append(done.stderr)
    assert told[0] == told[1]
    assert PASSWORD not in told[0]
    compare("faulty_settings", told[0])


def test_the_bot_says_why_it_cannot_start(tmp_path: Path) -> None:
    started = time.monotonic()
    (tmp_path / "rollback.toml").write_text('[targets.production]\napprovers = ["U0BOB"]\nchannel = "#incidents"\n')
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    env |= {"DATABASE_URL": "postgresql:///app", "SLACK_BOT_TOKEN": "xoxb-1"}
    for more, code, sentence in (
        ({}, 2, "Set SLACK_APP_TOKEN"),
        ({"SLACK_APP_TOKEN": "xapp-1", "SLACK_API_URL": "http://127.0.0.1:9/api/"}, 69, "Slack does not answer"),
    ):
        run = [sys.executable, "-m", "bot"]
        done = subprocess.run(run, cwd=tmp_path, env=env | more, capture_output=True, text=True, timeout=30)
        assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr
    assert time.monotonic() - started < 30
