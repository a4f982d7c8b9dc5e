"""Rows of the ledger -> records. A rollback is its row and what its events say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from core.model import Approval, Broken, Event, Json, Person, Request, Run, State

if TYPE_CHECKING:
    import sqlite3


class Store(Protocol):
    """Where rows are read from: a ledger, or sqlite-utils' own database."""

    @property
    def conn(self) -> sqlite3.Connection: ...


def moment(text: str | None) -> datetime | None:
    """RFC 3339 -> aware datetime."""
    return datetime.fromisoformat(text) if text else None


def select(db: Store, rest: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Rows as dictionaries. Straight through sqlite3: sqlite-utils asks for the schema before each of its queries."""
    found = db.conn.execute(f"SELECT * FROM {rest}", values)  # noqa: S608 - words of ours
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def event(row: Mapping[str, Any]) -> Event:
    """A row of `events`."""
    actor = json.loads(row["actor"]) if row["actor"] else None
    return Event(
        id=int(row["id"]),
        at=datetime.fromisoformat(row["at"]),
        run=row["run"],
        kind=row["kind"],
        actor=Person(actor["id"], actor["name"]) if actor else None,
        data=json.loads(row["data"]),
        digest=row["digest"],
        state=State(row["state"]) if row["state"] else None,
    )


def run(row: Mapping[str, Any], events: Sequence[Event]) -> Run:
    """A row of `rollbacks` with its events, oldest first."""
    told = Told()
    for item in events:
        told.hear(item)
    return Run(
        id=row["id"],
        revision=row["revision"],
        state=State(row["state"]),
        target=row["target"],
        request=Request(row["what"], row["migration"], bool(row["only_one"]), row["origin"]),
        requester=Person(row["requester"], row["requester_name"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        channel=row["channel"],
        reason=told.reason or row["reason"] or "",
        incident=row["incident"] or "",
        digest=row["plan_digest"] or "",
        expires_at=moment(row["expires_at"]),
        ended_at=moment(row["ended_at"]),
        needed=row["needed"],
        evidence=told.evidence,
        running=told.running,
        since=told.since,
        failed=told.failed,
        approvals=tuple(told.approvals),
        ending=told.ending,
        last=events[-1] if events else None,
        opened_at=told.opened_at,
        coded=told.coded,
        changed=told.changed,
        executions=told.executions,
        partly=told.partly,
        part=told.part,
        continuing=told.continuing,
        held_up=told.held_up,
        released=told.released,
        way_back=told.way_back,
        stopped=told.stopped,
        dropped_old=told.dropped_old,
        cleaned=told.cleaned,
        broken=told.broken,
        reviewed=told.reviewed,
        thread=told.thread,
    )


def approval(person: Person, item: Event) -> Approval:
    """An event `approved`."""
    data = item.data
    revision, digest = data.get("revision", 1), data.get("digest", "")
    return Approval(person, item.at, data.get("note", ""), revision, digest, data.get("totp"))


def broken(person: Person, item: Event) -> Broken:
    """An event `glass_broken`."""
    data = item.data
    starts_at = datetime.fromisoformat(data["starts_at"])
    plan = (data["revision"], data["digest"])
    return Broken(person, data["reason"], *plan, starts_at, data["countdown"], item.id, data.get("totp"))


class Told:
    """What the events say, heard one after the other."""

    def __init__(self) -> None:
        self.evidence: dict[str, Json] = {}
        self.running: str | None = None
        self.since: datetime | None = None
        self.failed: Json | None = None
        self.approvals: list[Approval] = []
        self.ending: Event | None = None
        self.opened_at: datetime | None = None
        self.coded = False
        self.changed: tuple[str, ...] = ()
        self.executions = 0
        self.partly: Json | None = None
        self.part: Json | None = None
        self.continuing = False
        self.held_up: tuple[Json, ...] = ()
        self.released = False
        self.way_back: str | None = None
        self.stopped: Json | None = None
        self.dropped_old = False
        self.cleaned = False
        self.broken: Broken | None = None
        self.reviewed: Event | None = None
        self.thread: str | None = None
        self.reason = ""

    def hear(self, item: Event) -> None:
        """Each kind of event that changes the picture has one line here."""
        if item.state:
            self.ending, self.held_up, self.part = item, (), None
            self.keep_broken(item)
        match item.kind:
            case "asked":
                self.thread = item.data.get("thread")
            case "reasoned":
                self.reason = item.data["reason"]
            case "step_started":
                self.running, self.since, self.continuing = item.data["step"], item.at, False
            case "step_done":
                self.evidence[item.data["step"]] = item.data["evidence"]
                self.running, self.partly = None, None
            case "step_failed":
                self.failed, self.running = item.data, None
            case "opened":
                self.opened_at, self.coded = item.at, bool(item.data.get("coded"))
            case "approved" if item.actor:
                self.approvals.append(approval(item.actor, item))
            case "unapproved" if item.actor:
                self.approvals = [a for a in self.approvals if a.person.id != item.data.get("person", item.actor.id)]
            case "plan_changed":
                self.evidence, self.running, self.approvals = {}, None, []
                self.changed = tuple(item.data["what"])
            case "executing":
                self.executions += 1
            case "unknown" if item.data.get("code") == "E-PARTLY":
                self.partly = item.data
            case "part_started":
                self.part = item.data
            case "continued":
                self.continuing = True
            case "held_up":
                self.held_up = tuple(item.data["by"])
            case "services_stopping":
                self.stopped = item.data["before"]
            case "old_dropped":
                self.dropped_old = True
            case "files_removed":
                self.cleaned = True
            case "released" | "applied_again":
                self.released = True
            case "reapplied" | "restored":
                self.released, self.way_back = True, item.data["by"]
            case "glass_broken" if item.actor:
                self.broken = broken(item.actor, item)
            case "reviewed":
                self.reviewed = item
            case "interrupted":
                self.running, self.partly = None, None
            case "checking_again":
                self.evidence.pop("verify", None)

    def keep_broken(self, item: Event) -> None:
        """Break-glass counts for one wait at the gate: approvals that suffice, or a way back to it, end it."""
        one = self.broken
        if item.kind == "countdown_over" and one and item.data["broken"] == one.event and item.at >= one.starts_at:
            self.broken = replace(one, over=True)
        elif item.kind == "approved" or item.state in (State.WAITING, State.PLANNING):
            self.broken = None
