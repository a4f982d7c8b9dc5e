"""`report` at both doors: out of the ledger alone, in a file of one's own, and in a modal of Slack."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import messages_story as story
import pytest
import report_story
from gate_bodies import Json
from markdown_reading import Page
from test_messages import breaches, found, strings

from bot import messages as m
from bot.guard import run_of
from bot.witness import pasted
from core import zone
from core.entry import canonical, stamp
from core.errors import Refused
from core.grammar import Command, parse
from core.ledger import Ledger
from core.model import State
from core.report import gather, markdown, of
from core.shell import Shell

RUN = "RB-7K3M"


def written_down(ledger: Ledger) -> None:
    """The fixed run, as if a bot had walked it; with digests of its own."""
    with ledger.transaction() as t:
        t.create(
            {
                "id": RUN, "target": "production", "what": "from", "migration": "011_subscriptions", "only_one": 0,
                "requester": "U0ANA", "requester_name": "Ana Diaz", "reason": "Checkout 500s", "incident": "", "channel": None,
                "needed": 1, "origin": None,
            },
            story.ANA,
        )  # fmt: skip
        for event in report_story.EVENTS[1:]:
            if event.kind == "opened":
                columns = {"plan_digest": event.data["digest"], "expires_at": event.data["expires_at"]}
                t.move(t.run(RUN), State.WAITING, "opened", event.data, event.actor, **columns)
            elif event.state:
                t.move(t.run(RUN), event.state, event.kind, event.data, event.actor)
            else:
                t.append(RUN, event.kind, event.data, event.actor)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db")
    written_down(made)
    yield made
    made.close()


def shell(ledger: Ledger, *words: str) -> int:
    """`rollback …`, without settings and without any database but the ledger."""
    asked = Shell(list(words))
    asked.__dict__["_ledger"] = ledger
    return asked.run()


def test_the_ledger_is_enough(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell(ledger, "report", "rb7k3m") == 0
    text = capsys.readouterr().out
    assert (
        text.startswith("# Rollback RB-7K3M on production\n\n## Summary\n") and "took effect, and was verified" in text
    )
    assert f"- **Head:** event {ledger.head()[0]}, `{ledger.head()[1]}`" in text
    assert shell(ledger, "report", RUN, "--html") == 0
    assert "Rollback RB-7K3M on production" in Page(capsys.readouterr().out).texts


def test_a_packet_that_was_kept_is_a_witness(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    shell(ledger, "report", RUN)
    told = {one.number: one.digest for one in pasted(capsys.readouterr().out, "packet.md")}
    events = {event.id: event.digest[:16] for event in ledger.events(RUN)}
    assert len(told) > 10 and told.items() <= events.items()


def test_machines_get_the_model_the_run_and_the_chain(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell(ledger, "report", RUN, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["ok"], data["schema_version"], data["run"]["id"]) == (True, 1, RUN)
    assert [section["title"] for section in data["report"]["sections"]][:2] == ["Summary", "Timeline"]
    assert data["audit"]["faults"] == [] and len(data["events"]) == len(report_story.EVENTS)
    kinds = {block["kind"] for section in data["report"]["sections"] for block in section["blocks"]}
    assert kinds == {"facts", "table", "items", "words", "code"}


def test_a_file_is_made_whole_for_its_owner_alone_and_never_overwritten(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "packet  of today.md"
    assert shell(ledger, "report", RUN, "--out", str(file)) == 0
    said = capsys.readouterr()
    assert said.out == "" and "RB-7K3M is written to packet  of today.md, " in said.err
    assert file.read_text().startswith("# Rollback RB-7K3M") and stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    for words in ((), ("--json",)):
        with pytest.raises(Refused, match="exists already, and is not overwritten"):
            shell(ledger, "report", RUN, "--out", str(file), *words)
    assert file.read_bytes() == before
    page = tmp_path / "packet.HTML"
    assert shell(ledger, "report", RUN, f"--out={page}", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["bytes"]) == ("packet.HTML", page.stat().st_size)
    assert page.read_text().startswith("<!doctype html>")
    (tmp_path / "link.md").symlink_to(tmp_path / "elsewhere.md")
    for bad, why in (("no/such/packet.md", "no such file or directory"), ("link.md", "exists"), (".", "exists")):
        with pytest.raises(Refused, match=why):
            shell(ledger, "report", RUN, "--out", str(tmp_path / bad))
    assert shell(ledger, "report", RUN, "--out", "-") == 0 and capsys.readouterr().out.startswith("# Rollback")
    assert not list(tmp_path.glob(".rollback-report-*"))


def test_a_run_that_is_not_there_is_none_and_a_file_is_the_shells_alone(ledger: Ledger) -> None:
    with pytest.raises(Refused, match="I know no run"):
        shell(ledger, "report", "RB-2222")
    assert parse("report rb7k3m --html —out packet.md") == Command("report", run=RUN, args=("html",), out="packet.md")
    for line, why in (
        ("report", "Say which run"),
        ("report RB-7K3M --out", "needs a word"),
        ("report RB-7K3M --html=now", "takes no value"),
        ("show RB-7K3M --html", "takes no `--html`"),
        ("report RB-7K3M --htm", "Did you mean `--html`"),
    ):
        with pytest.raises(Refused, match=why):
            parse(line)


# -- a broken trail ----------------------------------------------------------------------------------------


def tampered(ledger: Ledger, change: str, *values: object) -> None:
    """The file is changed by somebody who puts its guards back, and then read anew, as by a process of its own."""
    (guard,) = ledger.db.execute("SELECT sql FROM sqlite_master WHERE name = 'events_no_update'").fetchone()
    ledger.db.execute("DROP TRIGGER events_no_update")
    ledger.db.conn.execute(change, values)
    ledger.db.execute(guard)
    ledger.db.conn.commit()
    ledger.close()
    Ledger.__init__(ledger, ledger.path)


def test_a_packet_of_a_trail_that_was_changed_says_so_first_and_ends_with_3(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    tampered(ledger, "UPDATE events SET actor = ? WHERE kind = 'approved'", canonical({"id": "U0EVE", "name": "Eve"}))
    assert shell(ledger, "report", RUN) == 3
    lines = capsys.readouterr().out.splitlines()
    number = next(event.id for event in ledger.events(RUN) if event.kind == "approved")
    assert lines[2].startswith("> **THE AUDIT TRAIL IS BROKEN") and f"event {number} was changed" in lines[2]
    assert shell(ledger, "report", RUN, "--json") == 3
    assert json.loads(capsys.readouterr().out)["ok"] is False


@pytest.mark.parametrize("data", ['{"note":"fine"}', "no JSON", "[]", '{"step":"identify","evidence":7}'])
def test_what_somebody_has_made_unreadable_does_not_hide_the_rest(
    ledger: Ledger, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = ledger.events(RUN)[2].id
    tampered(ledger, "UPDATE events SET data = ? WHERE id = ?", data, fresh)
    assert shell(ledger, "report", RUN) == 3
    text = capsys.readouterr().out
    assert f"event {fresh} " in text.splitlines()[2] and "| done | `Audit #" in text


def test_a_run_whose_row_makes_no_sense_is_refused_with_the_reason(ledger: Ledger) -> None:
    tampered(ledger, "UPDATE rollbacks SET created_at = 'yesterday' WHERE id = ?", RUN)
    with pytest.raises(Refused, match="cannot be read: the audit trail is broken") as no:
        gather(ledger, RUN, zone.here())
    assert no.value.code == "E-LEDGER"


# -- Slack ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    ["UPDATE rollbacks SET created_at = 'yesterday' WHERE id = ?", "UPDATE events SET data = '[]' WHERE run = ?"],
)
def test_in_slack_a_run_that_cannot_be_read_is_refused_with_the_way_to_what_is_left(
    ledger: Ledger, change: str
) -> None:
    tampered(ledger, change, RUN)
    with pytest.raises(Refused, match="cannot be read: the audit trail is broken") as no:
        run_of(ledger, RUN)
    assert no.value.code == "E-LEDGER" and f"`rollback report {RUN}`" in no.value.hint


def copied(view: Json) -> str:
    """What somebody copies from a page."""
    said = [text[3:-3] for text in strings(view["blocks"]) if text.startswith("```")]
    return "\n".join(said).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def test_the_modal_has_the_whole_packet_in_pages_fit_to_be_copied() -> None:
    case = report_story.case(story.huge_run(), report_story.BEGINNING)
    first = m.report(case, 1)
    pages = int(re.findall(r"Page 1 of (\d+)", str(first))[0])
    assert pages > 2 and m.report(case, 10**9)["private_metadata"] == m.report(case, pages)["private_metadata"]
    views = [m.report(case, page) for page in (1, 2, pages)]
    assert [breaches(view, "modal") for view in views] == [[], [], []]
    for view, told in zip(views, (["Next page"], ["Next page", "Previous page"], ["Previous page"]), strict=True):
        turns = found(view, "button")
        assert [one["text"]["text"] for one in turns] == told and {one["action_id"] for one in turns} == {"rb.report"}
    assert "`rollback report RB-7K3M --html --out RB-7K3M.html`" in str(first["blocks"][0])
    names = {item["name"] for item in case.run.going}
    assert all(name in copied(first) for name in names)


def test_what_is_copied_from_slack_is_the_same_markdown() -> None:
    case = report_story.both_ways()
    whole = [line for line in markdown.whole(of(case), "~").splitlines() if line]
    assert [line for line in copied(m.report(case)).splitlines() if line] == whole


# -- zones -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (":Europe/Berlin", "Europe/Berlin"),
        ("/usr/share/zoneinfo/America/New_York", "America/New_York"),
        ("", "UTC"),
        ("UTC", "UTC"),
        ("Mars/Base", "UTC, since TZ names no zone that is known here"),
        ("../../etc/passwd", "UTC, since TZ names no zone that is known here"),
        ("/nowhere/at/all", "UTC, since TZ names no zone that is known here"),
    ],
)
def test_tz_is_honoured_and_a_zone_that_is_none_is_said(told: str, name: str) -> None:
    assert zone.here({"TZ": told}).name == name


def test_a_rule_in_tz_is_the_c_librarys_and_a_link_names_the_machines_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "ABC-3XYZ")
        time.tzset()
        found_ = zone.here(os.environ)
        assert (found_.name, found_.at(story.NOON).strftime("%H:%M")) == ("ABC/XYZ", "17:16")
    time.tzset()
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert zone.here({}, link).name == "Asia/Tokyo"
    assert stamp(zone.here({}, link).at(story.NOON)) == stamp(story.NOON)
