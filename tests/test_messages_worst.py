"""The largest and oddest that may stand in a message: Slack takes it, and what is left out is counted, with a way to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import messages_catalogue as catalogue
import messages_ready as ready
import messages_story as story
import messages_worst as worst
import pytest
from messages_worst import HOLDS, NAMES, OBJECTS, PEOPLE, RUNS, TARGETS
from slack_sdk import WebClient
from test_messages import breaches, found, strings

from bot import messages as m
from bot.newer import KINDS
from bot.people import People
from core.doctor import Finding
from core.errors import Refused
from core.model import Event, Person, Run, State
from core.settings import Settings
from core.witness import Held, Posted
from demo.workspace import Member, Workspace

MORE = re.compile(r"(?:and|,) ([\d,]+) more")
THREE = ("rollback", "reapply", "restore")


@pytest.fixture(scope="module")
def crowds() -> Iterator[Mapping[str, m.Context]]:
    """A context for each sort of name: 100 approvers as Slack knows them."""
    made = {}
    for label, of in NAMES.items():
        who = worst.people(of, PEOPLE)
        with Workspace(people=[Member(one.id, f"p{number}", one.name) for number, one in enumerate(who)]) as slack:
            client = WebClient(slack.bot_token, base_url=slack.api_url, retry_handlers=[])
            people, ids = People(client, Settings(ledger=Path("none"))), [one.id for one in who]
            made[label] = worst.crowd(of, people.mention(ids), people.called(ids))
    yield made


def made(kind: str, of: str, size: int = 60_000) -> Run:
    return worst.rollback(of, size) if kind == "rollback" else worst.way_back(kind, of)


def wrong(payloads: Mapping[str, Any]) -> dict[str, list[str]]:
    """What breaks a limit, or is cut without a word of how much is left out."""
    told = {}
    for name, payload in payloads.items():
        surface = payload.get("type", "message")
        faults = breaches(payload, surface)
        faults += [f"cut: {said[:60]}" for said in strings(payload) if "cut here" in said]
        told[name] = faults
    return {name: faults for name, faults in told.items() if faults}


def pages(run: Run) -> dict[str, Any]:
    """Every page of the full plan, and two of them as they are opened."""
    every, frame = m.pages(run), m.full_plan(run, 1)
    shown = {f"page {n}": {**frame, "blocks": page} for n, page in enumerate(every, 1)}
    return shown | {f"opened {n}": m.full_plan(run, n) for n in (2, len(every))}


@pytest.mark.parametrize(
    ("kind", "of"), [("rollback", "ampersands"), ("rollback", "emoji"), ("reapply", "bidi"), ("restore", "ampersands")]
)
def test_every_message_of_the_worst_run_fits_in_every_state(
    of: str, kind: str, crowds: Mapping[str, m.Context]
) -> None:
    run, ctx = made(kind, NAMES[of]), crowds[of]
    assert wrong({**catalogue.of_run(run, ctx), **catalogue.views_of(run, ctx)}) == {}


@pytest.mark.parametrize(
    ("kind", "of"),
    [("rollback", of) for of in sorted(NAMES)] + [(kind, of) for kind in THREE[1:] for of in ("bidi", "emoji")],
)
def test_a_card_its_review_and_its_full_plan_fit_whatever_names_are_made_of(
    of: str, kind: str, crowds: Mapping[str, m.Context]
) -> None:
    run, ctx = made(kind, NAMES[of]), crowds[of]
    newer = replace(ctx, newer=KINDS)
    told = {"card": m.card(run, ctx), "newer": m.card(run, newer), "dm": m.direct(run, ctx)}
    told |= {"review": m.review(run, ctx, coded=True), "review newer": m.review(run, newer), "home": home(run)}
    told |= pages(run) if kind == "rollback" else {}
    assert wrong(told) == {}


@pytest.mark.parametrize("of", ["ampersands", "bidi", "emoji", "backticks"])
def test_a_script_of_3_mb_is_shown_whole_in_pages_that_slack_takes(of: str) -> None:
    run = made("rollback", NAMES[of], worst.SCRIPT)
    every = pages(run)
    assert wrong(every) == {} and len(every) > 20
    assert f"Page 2 of {len(every) - 2}" in str(every["opened 2"]["blocks"])


def home(run: Run) -> Any:
    """The tab of somebody who may do everything, where everything is open."""
    names = [f"{run.target[:50]} {number}" for number in range(TARGETS)]
    done = replace(run, state=State.DONE, evidence={**run.evidence, "execute": {**story.EXECUTE, "hold": "refuse"}})
    return m.home(
        m.Tab(
            story.NOON, [run] * RUNS, [run] * RUNS, [run] * RUNS, [done] * RUNS, frozenset(), names, names, names,
            links={run.id: story.LINK}, held={name: [done] * HOLDS for name in names},
            drills=[m.DrillNow(name, story.NOON) for name in names],
            targets=[m.TargetNow(name, newest=worst.named("&")) for name in names], checked=story.NOON, health=["x" * 200] * 3,
        )
    )  # fmt: skip


# -- what is left out is counted ---------------------------------------------------------------------------------


def counted(lines: Sequence[str], mark: str = "• ") -> int:
    """How many there are: those that are shown, and those that it says there are besides."""
    more = [one for one in lines if one.startswith("• and ")]
    left = sum(int(MORE.search(one)[1].replace(",", "")) for one in more)  # type: ignore[index]
    return sum(one.startswith(mark) for one in lines) - (len(more) if mark == "• " else 0) + left


def texts(payload: Any) -> list[str]:
    """What people read in it, in order."""
    return [
        one["text"] for block in payload["blocks"] for kind in ("mrkdwn", "plain_text") for one in found(block, kind)
    ]


def part(payload: Any, head: str, *ends: str) -> list[str]:
    """The lines below a heading, through all sections, up to the next heading."""
    lines = [line for said in texts(payload) for line in said.split("\n")]
    begin = next(number for number, line in enumerate(lines) if head in line) + 1
    stop = next((n for n, line in enumerate(lines) if n >= begin and any(end in line for end in ends)), len(lines))
    return lines[begin:stop]


@pytest.mark.parametrize("of", ["ampersands", "ideographs"])
def test_what_a_card_leaves_out_is_counted(of: str, crowds: Mapping[str, m.Context]) -> None:
    ctx, runs = crowds[of], {kind: made(kind, NAMES[of]) for kind in THREE}
    assert counted(part(m.card(runs["rollback"], ctx), "*Will be deleted*", "Saved first")) == OBJECTS
    assert counted(part(m.card(runs["restore"], ctx), "*Will be lost*", "The application")) == OBJECTS
    aside = part(m.card(runs["reapply"], ctx), "*What it does*", "Tried on")
    assert counted(aside) - 3 == OBJECTS
    assert "rb.plan" in {one["action_id"] for one in found(m.card(runs["reapply"], ctx), "button")}
    shown = "\n".join(strings(m.pages(runs["reapply"])))
    assert all(
        one["table"].removeprefix("public.")[:4] in shown
        for one in runs["reapply"].evidence["rehearse"]["back"]["aside"]
    )
    title = texts(m.card(runs["rollback"], ctx))[0]
    assert title.count("<@U0P") == 20 + 3 and "and 80 more" in title  # approvers, and who has approved
    assert "and 95 more are reading" in title.replace("  ", " ")
    expired = texts(m.card(replace(runs["rollback"], state=State.EXPIRED), ctx))[0]
    assert "and 90 more." in expired


def test_what_calls_and_endings_leave_out_is_counted(crowds: Mapping[str, m.Context]) -> None:
    run, ctx = made("rollback", "&"), crowds["ampersands"]
    reminded = replace(
        run.last or story.event(1, "", 0), kind="reminded", data={"minutes_left": 6, "asked": list(ctx.asked)}
    )
    call = m.broadcast(run, reminded, ctx)
    assert call and any(said.count(", ") > 5 and re.search(r"and \d+ more", said) for said in strings(call["blocks"]))
    assert len(call["text"]) <= 400 and "please review" in call["text"]
    lost = m.card(replace(run, state=State.NEEDS_A_PERSON, partly=None, ending=replace(run.last, kind="unknown")), ctx)  # type: ignore[type-var]
    for head, end in (
        ("*What I know*", "*What I do not"),
        ("*What I do not know*", "*What I do*"),
        ("*What you do*", "*Steps*"),
    ):
        assert counted(part(lost, head, end)) == 40
        assert "rollback show RB-7K3M --json" in part(lost, head, end)[-1]
    half = m.card(
        replace(run, state=State.NEEDS_A_PERSON, ending=replace(run.last, kind="unknown", data={"code": "E-PARTLY"})),
        ctx,
    )  # type: ignore[type-var]
    assert counted(part(half, "*Done*", "*Left*")) == counted(part(half, "*Left*", "*Steps*")) == 40
    refusal = m.refusal(
        Refused("E-MIGRATION-AMBIGUOUS", "60 begin so.", "Say which.", tuple(worst.named("&", n) for n in range(60)))
    )
    assert counted(part(refusal, "60 begin so", "E-MIGRATION")) == 60


def test_what_status_leaves_out_is_counted() -> None:
    run = replace(made("rollback", "é"), state=State.WAITING)
    held = replace(run, evidence={**run.evidence, "execute": {**story.EXECUTE, "hold": "refuse"}})
    targets = [m.TargetNow(f"target {n}", newest=worst.named("é"), held=(held,) * HOLDS) for n in range(TARGETS)]
    status = m.status([run] * RUNS, targets, "d" * 64, {run.id: story.LINK}, [held] * 30)
    assert wrong({"status": status}) == {}
    assert counted(part(status, "*Open now*", "*Owed"), ":hourglass") == RUNS
    assert counted(part(status, "*Owed reviews (30)*", "*Targets*"), ":rotating_light:") == 30
    lines = part(status, "*Targets*", "Audit head")
    assert sum(line.startswith("• *target") for line in lines) == TARGETS
    assert sum("held by" in line for line in lines) == TARGETS * 5
    assert sum("and 15 more holds, all of them in the shell" in line for line in lines) == TARGETS
    many = m.status([], [replace(one, name=f"{one.name} {n}") for n in range(10) for one in targets], "d" * 64)
    assert wrong({"many": many}) == {} and "all of them in the shell" in str(many["blocks"][-2:])


def test_what_home_leaves_out_is_counted() -> None:
    tab = home(made("rollback", "é"))
    assert wrong({"home": tab}) == {} and len(tab["blocks"]) <= 100
    said = "\n".join(strings(tab["blocks"]))
    assert "Waiting for you (200)" in said and "Owed reviews (200)" in said and "and 36 more targets" in said
    assert said.count("and 180 more: `/rollback status` lists all") == 2
    for head, end, total in (
        ("*Running (200)*", "*Holds", RUNS),
        (f"*Holds ({HOLDS * TARGETS})*", "*Drills", HOLDS * TARGETS),
        ("*Drills*", "*Last runs*", TARGETS),
        ("*Last runs*", "Plan a rollback", RUNS),
    ):
        lines = [line for line in part(tab, head, end) if line]
        assert counted(lines, "") - sum(line.startswith("• and") for line in lines) == total, head


def test_what_answers_leave_out_is_counted() -> None:
    names = [f"target {number}" for number in range(TARGETS)]
    who = m.whoami(Person("U0ANA", "é" * 80), names, names, names)
    assert wrong({"whoami": who}) == {}
    assert all(line.count("*target") == 12 and "and 28 more" in line for line in part(who, "You are", "Nobody"))
    checks = [
        Finding(f"{name}: {what}", name != "target 39", "&" * 600, "&" * 400) for name in names for what in "abcdef"
    ]
    found_bad = m.checkup(checks)
    assert wrong({"checkup": found_bad}) == {} and counted(part(found_bad, "240 checks, 6 faults"), ":") == 240
    assert sum(":x:" in line for line in part(found_bad, "240 checks")) == 6
    posted = Posted(
        (), tuple(f"#{'c' * 80}{n}" for n in range(TARGETS)), tuple(f"#c{n}: not in it" for n in range(12)), 3
    )
    faults = tuple(f"event {n} was posted as {'0' * 16}, {'&' * 300}" for n in range(50))
    held = Held(9, 5, None, 2, 3, faults, posted)
    audit = m.audit(2106, "3" * 64, held=held, remarks=["RB-7K3M " + "&" * 300] * 500)
    assert wrong({"audit": audit}) == {}
    assert counted(
        part(audit, "is not what I posted in", "Up to event")
    ) == 50 and "and 7 more channels not read" in str(audit)
    assert (
        counted(part(m.audit(9, "3" * 64, remarks=["&" * 300] * 500), "chain unbroken", "Compare"), ":rotating_light:")
        >= 499
    )
    run = made("rollback", "&")
    shown = m.timeline(run, [run.last or story.event(1, "x", 0)] * 90)
    assert wrong({"timeline": shown}) == {} and "50 events are left out here" in str(shown["blocks"])
    rows = [m.MigrationRow(worst.named("&", n % 1000), story.NOON, False) for n in range(4000)]
    applied = m.migrations(rows, "production", story.NOON + timedelta(days=9))
    assert wrong({"migrations": applied}) == {} and re.search(
        r"[\d,]+ more sections, all of them in the shell", str(applied)
    )


def test_a_thread_line_of_the_worst_run_counts_what_it_leaves_out(crowds: Mapping[str, m.Context]) -> None:
    for kind, step, total in (
        ("restore", "rehearse", OBJECTS),
        ("reapply", "rehearse", OBJECTS),
        ("rollback", "test restore", 40),
    ):
        run = made(kind, "&")
        done = Event(
            2100, story.NOON, run.id, "step_done", None, {"step": step, "evidence": run.evidence[step]}, "0" * 64
        )
        line = m.thread(run, done, crowds["ampersands"])
        assert line and wrong({step: line}) == {}
        assert counted(part(line, run.id, "Audit #")) == total


@pytest.mark.parametrize("of", sorted(NAMES))
def test_lists_to_choose_from_and_what_is_told_of_people_fit(of: str) -> None:
    words = worst.longest(NAMES[of])
    names = [f"{number:04}_{NAMES[of] * 250}"[:250] for number in range(2000)]
    options = m.choices(names, "")
    element = {"type": "static_select", "action_id": "v", "options": options, "initial_option": options[0]}
    label = {"type": "plain_text", "text": "x"}
    form = {
        "type": "modal",
        "title": label,
        "submit": label,
        "blocks": [{"type": "input", "label": label, "element": element}],
    }
    assert len(options) == 100 and wrong({"choices": form}) == {}
    yours = {
        "person": "U0BOB",
        "account": words,
        "fingerprint": "5" * 64,
        "replaces": False,
        "why": words,
        "locks": True,
    }
    who = worst.people(NAMES[of], 1)[0]
    told = {"drill": m.drill_due(story.event(1, "drill_due", 0, target=words, period=words, owner=words, last=words))}
    told |= {kind: m.authenticator(story.event(1, kind, 0, who, **yours)) for kind in ("totp_enrolled", "totp_removed")}
    told |= {"confirm": m.confirm_yours(story.event(1, "totp_enrolled", 0, who, **yours))}
    there = Refused("E-CHANNEL", words, words)
    told |= {"elsewhere": m.elsewhere(there, "plan-" + "0" * 12, words), "help": m.help_(words)}
    assert wrong(told | ready.worst(words)) == {}


@pytest.mark.parametrize("of", NAMES)
def test_what_was_found_in_a_history_table_fits_and_is_counted(of: str) -> None:
    names = [worst.named(NAMES[of], number) for number in range(500)]
    told = {"target": worst.named(NAMES[of])[:40], "code": "E-DIFFERS", "why": worst.longest(NAMES[of])}
    events = [
        story.event(n, "no_way_back", 0, version=name, name=name, out_of_order=True, **told)
        for n, name in enumerate(names)
    ]
    gone = story.event(900, "unapplied", 0, target=told["target"], versions=names, by=None)
    made = {
        "no way back": m.no_way_back(events),
        "out of order": m.out_of_order(events),
        "unapplied": m.unapplied(gone),
        "emptied": m.history_emptied(gone, "<!subteam^S0DB>"),
    }
    assert wrong(made) == {}
    for name in ("no way back", "out of order", "unapplied"):
        assert counted("\n".join(strings(made[name]["blocks"])).split("\n")) >= 500, name


@pytest.mark.parametrize("of", NAMES)
def test_a_card_whose_scripts_ran_in_many_runs_on_staging_fits(of: str) -> None:
    run = made("rollback", of)
    scripts = [
        {
            "name": item["name"],
            "sha256": "5" * 64,
            "run": f"RB-{n:04}",
            "at": story.at(n),
            "ended": "done",
            "verified": n % 2 == 0,
        }
        for n, item in enumerate(run.going)
    ]
    found = {"target": worst.named(NAMES[of])[:40], "required": True, "scripts": scripts}
    run = replace(
        run, evidence={**run.evidence, "identify": {**run.evidence["identify"], "staging": found, "commit": "c" * 64}}
    )
    run = replace(run, state=State.WAITING)
    shown = {"card": m.card(run, story.CTX), "plan": m.plan_private(run, story.CTX), "pages": m.full_plan(run, 1)}
    assert wrong(shown) == {}
