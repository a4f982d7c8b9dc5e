"""The largest that may stand in a message: many of everything, with names of 63 bytes that grow when they are escaped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import messages_story as s

from bot.messages import Context
from core.model import Approval, Event, Json, Person, Request, Run, State

NAMES = {
    "ampersands": "&",
    "angles": "<",
    "backticks": "`",
    "stars": "*~_",
    "emoji": "🦄",
    "joined emoji": "👩\u200d🚀",
    "emoji names": ":tada:",
    "bidi": "\u202e",
    "accents": "é",
    "ideographs": "表",
    "controls": "\x07",
}
"""What names are made of, by what it is called."""
REASON = 500  # characters of a reason, as core/grammar.py allows them
PEOPLE, TARGETS, RUNS, HOLDS = 100, 40, 200, 20
MIGRATIONS, OBJECTS = 60, 400
SCRIPT = 3_000_000  # bytes


def named(of: str, number: int = 0) -> str:
    """A name of at most 63 bytes, PostgreSQL's longest, beginning with its number."""
    head = f"{number:03}_"
    room = 63 - len(head)
    return head + of * (room // len(of.encode()))


def longest(of: str) -> str:
    """A reason of 500 characters."""
    return (of * REASON)[:REASON]


def people(of: str, count: int) -> list[Person]:
    """So many people with names as long as Slack allows them."""
    return [Person(f"U0P{number:08}", (of * 80)[:80]) for number in range(count)]


def script(of: str, size: int) -> str:
    """One statement of so many bytes."""
    line = f"('{of * 20}', 'x'),\n"
    return "INSERT INTO big VALUES\n" + line * (size // len(line.encode())) + "('', '')"


def rollback(of: str, size: int = SCRIPT // 10) -> Run:
    """60 migrations, 400 dropped objects, everything that a rehearsal can see, in names made `of` something."""
    names = [named(of, number) for number in range(MIGRATIONS, 0, -1)]
    tables = [f"public.{named(of, number)}" for number in range(OBJECTS)]
    undo = [{**s.migration(name, f"DROP TABLE {name};"), "warnings": [longest(of)]} for name in names]
    undo[0] = {**s.migration(names[0], script(of, size)), "warnings": [longest(of)]}
    kinds = ("table", "column", "rows", "view")
    losses = [
        {"kind": kinds[number % 4], "name": name, "rows": 10**9 + number, "about": True, "since": 10**8, "last_write": s.at(1)}
        for number, name in enumerate(tables)
    ]  # fmt: skip
    holder = {"who": named(of), "state": "idle in transaction (aborted)", "seconds": 86_399, "pid": 1}
    many: Json = {
        **s.DIFFERS, "losses": losses, "statements": MIGRATIONS, "why_unknown": longest(of),
        "differences": [{"severity": "harmful", "message": f"missing: index `{name}`"} for name in tables],
        "locks": [{"table": name, "mode": "AccessExclusiveLock"} for name in tables],
        "cascaded": [{"kind": "foreign key", "name": name} for name in tables], "rewritten": tables,
        "notes": [longest(of)] * 20, "parts": [{"about": longest(of)}] * 20, "reapplies": False, "why_not_reapplies": longest(of),
        "usage": [{"table": name, "reads": 10**9, "writes": 10**9, "per": 1, "holders": [holder] * 6} for name in tables],
    }  # fmt: skip
    trial = {**s.TRIAL, "notes": [longest(of)] * 40, "way_back": {"works": False, "why": longest(of)}}
    verify = {**s.SICK, "newest": names[0], "schema": "differs", "differences": [longest(of)] * 40}
    execute = {**s.EXECUTE, "versions": names, "history_table": tables[0], "hold": "refuse"}
    database = {**s.IDENTIFY["database"], "name": named(of), "host": (of * 253)[:253], "server_version": longest(of)}
    identify = {
        **s.IDENTIFY, "undo": undo, "named": names[-1], "stays": names[0], "kept_after": names, "database": database,
        "history_table": tables[0],
    }  # fmt: skip
    evidence = {
        **s.EXECUTED,
        "identify": identify,
        "rehearse": many,
        "test restore": trial,
        "execute": execute,
        "verify": verify,
    }
    return s.run(
        State.WAITING, happened(of), evidence=evidence, request=Request("from", names[-1]), revision=2, needed=3,
        failed={"step": "backup", "code": "E-BACKUP", "message": longest(of), "hint": longest(of)},
        held_up=tuple({**holder, "table": name} for name in tables), **asked(of),
    )  # fmt: skip


def way_back(kind: str, of: str) -> Run:
    """The same of a re-apply and of a restore."""
    names, tables = (
        [named(of, number) for number in range(MIGRATIONS)],
        [named(of, number) for number in range(OBJECTS)],
    )
    aside = [{**s.ASIDE, "table": f"public.{name}", "reason": longest(of)} for name in tables]
    back = {**s.BACK, "aside": aside, "notes": [longest(of)] * 40}
    lost = [{"table": f"public.{name}", "new": 10**9, "gone": 10**9, "about": False, "rows": 10**9} for name in tables]
    services = {"kind": "compose", "names": tables[:100]}
    evidence: Mapping[str, Json]
    if kind == "reapply":
        redo = {**s.REDO, "redo": [s.migration(name, f"CREATE TABLE {name} ();") for name in names], "stays": names[0]}
        again = {
            **s.AGAIN,
            "versions": names,
            "released": names,
            "back": {**s.AGAIN["back"], "aside": aside, "notes": [longest(of)] * 40},
        }
        evidence = {"identify": redo, "rehearse": {**s.TRIED, "back": back}, "execute": again}
    else:
        whole = {**s.WHOLE, "services": services, "slots": tables[:100], "new": tables[0], "kept": tables[1]}
        swapped = {
            **s.SWAPPED,
            "losses": lost,
            "services": dict.fromkeys(tables[:100], 1),
            "services_trouble": longest(of),
        }
        evidence = {
            "identify": whole,
            "rehearse": {**s.COUNTED, "losses": lost},
            "prepare": s.PUT_IN,
            "execute": swapped,
        }
    evidence = {**evidence, "verify": {**s.SICK, "newest": names[0], "differences": [longest(of)] * 40}}
    return s.way_back(kind, State.WAITING, happened(of), evidence=evidence, **asked(of))


def asked(of: str) -> dict[str, Any]:
    """Who asked for what, and who agreed."""
    who = people(of, 4)
    return {
        "target": (of * 60)[:60], "reason": longest(of), "incident": longest(of), "requester": who[0],
        "approvals": tuple(Approval(one, s.NOON, longest(of)) for one in who[1:]),
        "partly": {"message": longest(of), "done": [longest(of)] * 40, "left": [longest(of)] * 40},
    }  # fmt: skip


def happened(of: str) -> Event:
    """An event with everything that events tell."""
    many = [longest(of)] * 40
    return s.event(
        2096, "opened", 8, people(of, 1)[0], reason=longest(of), message=longest(of), hint=longest(of), what=many, known=many,
        unknown=many, doing=many, you=many, done=many, left=many, versions=many, differences=many, text=longest(of),
    )  # fmt: skip


def crowd(of: str, mention: str, called: str) -> Context:
    """100 approvers, of whom everybody was asked and everybody reads."""
    who = tuple(one.name for one in people(of, PEOPLE))
    return replace(
        s.ESTIMATED, approvers_mention=mention, approvers_text=called, asked=who, reading=who, escalated=mention, may_break=True,
        now=s.NOON + timedelta(days=400),
    )  # fmt: skip
