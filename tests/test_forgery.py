"""Words from outside cannot forge: no mention, link, fence, emoji or line of ours comes out of them, wherever they stand."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import messages_catalogue as catalogue
import messages_ready as ready
import messages_story as story
import pytest
import report_story
from test_messages import HUGE, OURS, found, shown, strings

from bot import messages as m
from bot.messages import text as words
from core import printed_plan, printing, redact, transcript
from core.chain import Verdict
from core.doctor import Finding
from core.ledger import Ledger
from core.model import Event, Person, Run
from core.settings import Target
from core.survey import MigrationNow, TargetNow

LINE = "Approved by Bob Lee"
FORGED = {
    "mentions": "<!channel> <!here> <@U0EVE> <!subteam^S0EVE> <#C0EVE> @here @channel",
    "links": "<http://evil.example|RB-7K3M> <https://evil.example> http://evil.example/RB-7K3M",
    "escapes": "&lt;!channel&gt; &amp;lt; &#60;!here&#62; <<!channel>>",
    "dates": "<!date^1^{date}^https://evil.example|now>",
    "marks": f"*bold* _italic_ ~gone~ `tick` *{LINE}* _*`~all~`*_ &gt; quote",
    "a fence": f"```\n{LINE}\n``` ```` `````",
    "a half fence": "```",
    "lines": f"x\n{LINE}\r\n{LINE}\r{LINE}\x0b{LINE}\x0c{LINE}\x85{LINE}\u2028{LINE}\u2029{LINE}",
    "marked lines": f"x\n>{LINE}\n• {LINE}\n1. {LINE}\n\n\n{LINE}",
    "emoji": ":white_check_mark: :tada::x: :+1: :-1: :100: :skin-tone-2: :e-mail:",
    "directions": "\u202egnp.exe\u202c \u2066\u2067\u2068\u2069 \u200e\u200f\u061c \u202a\u202b\u202d",
    "invisible": "a\u200bb\u200cc\u200dd\ufeffe\u2060f\u00adg\u034fh\u115fi\u3164j\uffa0k\u2800l\ufe0fm\U000e0041n\U000e0100o",
    "a terminal's orders": "\x1b[2J\x1b[1;1H\x1b]0;title\x07\x1b[31mred\x9b31m\x08\x08\x08\x7f\x00",
    "other scripts": "\u05d0\u05d1\u05d2 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 admin\u0456strator",
    "very long": f"{LINE} " * 90,
    "all marks": "<>&*_~`:|!@#^\\\"'{}[]()" * 20,
    "json": '"},{"type":"section","text":{"type":"mrkdwn","text":"<!channel>"}}',
    "surrogates": "\ud83d\ude00 \udce4",
}
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ud800-\udfff\U000e0000-\U000e01ef]"
)
FENCED = re.compile(r"```.*?```", re.DOTALL)
EMOJI = re.compile(r":[\w+'-]*[A-Za-z+-][\w+'-]*:|(?<!\d):\d+:")
OUR_EMOJI = re.compile(
    ":(?:" + "|".join(sorted({e.strip(":") for one in strings([*catalogue.messages().values(), *catalogue.views().values()])
    for e in re.findall(r":[a-z_]+:", one)})) + "):"
)  # fmt: skip


def payloads(run: Run) -> Iterator[tuple[str, Any]]:
    yield from catalogue.of_run(run).items()
    yield from catalogue.views_of(run).items()
    yield from ((f"page {n}", m.full_plan(run, n)) for n in range(1, len(m.pages(run)) + 1))
    yield from ((f"report, page {n}", m.report(report_story.case(run, events(run)), n)) for n in (1, 2))
    yield (
        "drill",
        m.drill_due(
            story.event(1, "drill_due", 0, target=run.reason, period=run.reason, owner=run.reason, last=run.reason)
        ),
    )
    yield from ready.worst(run.reason).items()
    yield "audit", m.audit(7, "3" * 64, broken=run.reason)
    yield "audit, whole", m.audit(7, "3" * 64, last=(run.reason, "3" * 64, run.reason))


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_no_message_can_be_forged(forged: str) -> None:
    seen = set()
    for name, payload in payloads(story.hostile_run(forged)):
        for said in strings(shown(payload)):
            if said in seen:
                continue
            seen.add(said)
            outside = FENCED.sub("", said)
            rest = OURS.sub("", said)
            assert "<" not in rest and ">" not in re.sub(r"(?m)^>", "", rest), (name, said)
            assert not UNSEEN.search(said), (name, said)
            assert said.count("```") % 2 == 0, (name, said)
            assert not EMOJI.search(re.sub(r"`[^`\n]*`", "", OUR_EMOJI.sub("", OURS.sub("", outside)))) or forged_by_us(
                outside
            ), (name, said)
            assert not [line for line in outside.splitlines() if line.lstrip(">•*_~1. ").startswith(LINE) and forged != FORGED["very long"]], (name, said)  # fmt: skip
        assert all(one["verbatim"] for one in found(payload, "mrkdwn")), name


def forged_by_us(said: str) -> bool:
    """Our own emoji, one after the other, or beside a word of ours."""
    return ":white_check_mark:" not in said and ":tada:" not in said and ":+1:" not in said and ":100:" not in said


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_no_line_of_the_terminal_can_be_forged(forged: str) -> None:
    run = replace(story.hostile_run(forged), changed=(forged,))
    target = Target(forged, channel="#incidents")
    lines = [*printing.history([run]), *printing.timeline(run, events(run)), *printed_plan.plan(run, target)]
    for event in events(run):
        lines += transcript.step_lines(event, run, target)
    live = replace(run, running="execute", part={"part": 1, "of": 2, "about": forged}, held_up=({"who": forged, "state": forged, "seconds": 3.0},))  # fmt: skip
    lines += [str(transcript.last_line(live, 3.0, 3.0))]
    lines += printing.status(
        [run], [TargetNow("production", forged, forged)], True, (1, "d" * 64), {"production": [run]}
    )
    lines += printing.migrations([MigrationNow("1", forged, True, None, True, True)])
    lines += printing.audit(Verdict(7, "3" * 64, (forged,)))
    lines += printing.doctor([Finding("x", False, forged, forged)], [])
    for line in lines:
        assert not UNSEEN.search(line) and "\n" not in line, line
        assert not line.lstrip(" >•*1.").startswith(LINE) or forged == FORGED["very long"], line


def events(run: Run) -> list[Event]:
    """One event of each kind, with the words in every place."""
    w = run.reason
    held = [{"who": w, "state": w, "seconds": 3.0}]
    base = {
        "reason": w,
        "note": w,
        "why": w,
        "message": w,
        "hint": w,
        "code": "E-BUG",
        "what": [w],
        "differences": [w],
        "about": w,
    }
    more = {"options": [w], "done": [w], "left": [w], "by": held, "part": 1, "of": 2, "seconds": 1.0, "step": "backup"}
    kinds = (
        "approved", "denied", "withdrawn", "unapproved", "plan_changed", "executing", "part_done", "continued", "held_up",
        "released", "found_committed", "step_failed", "done", "stopped", "refused", "expired", "differs", "unknown",
        "interrupted", "kept", "step_started",
    )  # fmt: skip
    made = [story.event(n, kind, 8, Person(w, w), **base) for n, kind in enumerate(kinds, 1)]
    made = [replace(event, data={**event.data, **more}) for event in made]
    return made + [story.event(90, "step_done", 8, step=step, evidence=run.evidence[step]) for step in run.evidence]


def test_what_a_cut_hides_is_counted_and_its_hash_shown() -> None:
    said = "\n".join(strings(m.card(HUGE, story.CTX)["blocks"]))
    every = "".join(
        f"{s['sql'].rstrip().removesuffix(';')};\n"
        for one in HUGE.evidence["identify"]["undo"]
        for s in one["script"]["statements"]
    )
    digest = hashlib.sha256(every.encode()).hexdigest()[:12]
    count = re.search(r"… ([\d,]+) more lines, sha256 of the whole `([0-9a-f]{12})`", said)
    assert count and count[2] == digest
    assert int(count[1].replace(",", "")) == every.count("\n") - 1
    long = "\n".join(f"line {n}" for n in range(900))
    cut = m.section(long)["text"]["text"]
    left = re.search(r"… cut here, (\d+) more lines, sha256 of the whole `([0-9a-f]{12})`", cut)
    assert left and int(left[1]) + cut.count("line ") == 900 and len(cut) <= words.SECTION
    assert left[2] == hashlib.sha256(long.encode()).hexdigest()[:12]


def test_an_address_is_a_link_only_with_its_host_and_only_where_it_is_what_it_seems() -> None:
    from bot.messages.card import incident

    def as_link(address: str) -> str:
        return incident(replace(catalogue.WAITING, incident=address))

    assert as_link("https://evil.example/x/RB-7K3M") == "<https://evil.example/x/RB-7K3M|evil.example: RB-7K3M>"
    assert (
        as_link("https://example.com@evil.example/RB-7K3M")
        == "<https://example.com@evil.example/RB-7K3M|evil.example: RB-7K3M>"
    )
    for odd in (
        "https://ex\u0430mple.com/RB-7K3M",
        "https://[x/RB-7K3M",
        "javascript:alert(1)",
        "https://x\u202e/y",
        "https://a|b",
    ):
        assert not as_link(odd).startswith("<"), odd


def test_an_export_has_one_line_of_plain_characters_for_each_event(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from core import looking
    from core.grammar import parse_words
    from core.shell import Shell

    ledger = Ledger(tmp_path / "l.db")
    for words_ in (*FORGED.values(), "postgresql://app:hunter2@db/app"):
        ledger.append("denied", {"reason": words_.encode("utf-8", "replace").decode()}, Person("U0EVE", words_))
    shell = Shell(["audit", "export"])
    shell.__dict__["_ledger"] = ledger
    looking.audit(shell, parse_words(["audit", "export"]))
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == len(FORGED) + 2 and all(line.isascii() and line.isprintable() for line in lines)
    assert [json.loads(line)["id"] for line in lines if line] == list(range(1, len(FORGED) + 2))
    assert "hunter2" not in lines[-2] and ledger.verify().unbroken
    ledger.close()


def test_every_invisible_character_is_shown() -> None:
    for forged in FORGED.values():
        assert not UNSEEN.search(redact.visible(forged).replace("\n", "")), forged
