"""Finds, in a running bot, every boundary where something lasts or leaves, and lets the process die there.

A boundary is one call of: a COMMIT of the ledger, a statement or connection to PostgreSQL, a call of Slack's Web API, an
answer or frame on the socket, a program started or ended, a file fsynced, renamed or removed, a folder removed. They are
found by wrapping these few primitives, not by a list of places: what the product does tomorrow is a boundary too. The
name of a boundary says in which step of the runbook it was met.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import Any

import psycopg
from slack_sdk.socket_mode.builtin.connection import Connection as Socket
from slack_sdk.web.client import WebClient
from slack_sdk.webhook import WebhookClient

from core.entry import Transaction

MOMENTS = ("before", "during", "after")
"""Of a call. `after`: it has been done, and whoever called does not hear of it any more."""
LIKELY = 0.5  # how probable it is that a life ends at a boundary where none has ended yet
FLIGHT = 0.004  # seconds: `during` is within so long after the beginning of the call
OUT_OF_DISK = 0.4  # seconds for which nothing can be written


@dataclass(frozen=True)
class Plan:
    """What shall happen in one life of a bot.

    `act`: kill, freeze, backend (its connection to PostgreSQL is ended by the server), server, disk, none. `seed` chooses where. `ended`:
    how many lives have ended so at a boundary and moment, so that each gets its turn. `least`: the probability at each
    boundary, however often it was met. `skip`: boundaries that are let pass at first, to get far.
    """

    act: str
    seed: int
    report: str
    least: float = 0.03
    skip: int = 0
    ended: dict[str, int] = field(default_factory=dict)


class Boundaries:
    """Installed in a process once, by `install`."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.dice = plan, random.Random(plan.seed)  # noqa: S311 - reproducible
        self.armed = plan.act != "none"
        self.step = "start"
        self.passed = 0
        self.writing = threading.local()
        self.guard = threading.Lock()

    def around(self, what: str, call: Callable[[], Any], backend: int | None = None) -> Any:
        """One boundary: the call, and what the plan wants before, during or after it."""
        name = f"{self.step}: {what}"
        moment = self.chosen(name, backend)
        if moment is None:
            return call()
        act = partial(self.act, name, moment, backend)
        if moment == "before":
            act()
            return call()
        if moment == "during":
            threading.Timer(self.dice.uniform(0, FLIGHT), act).start()
            return call()
        result = call()
        act()
        return result

    def chosen(self, name: str, backend: int | None) -> str | None:
        """The moment of this call at which it happens; None: it does not."""
        with self.guard:
            self.passed += 1
            if not self.armed or self.passed <= self.plan.skip or (self.plan.act == "backend" and backend is None):
                return None
            moment = self.dice.choice(MOMENTS)
            often = self.plan.ended.get(f"{name} {moment}", 0)
            if self.dice.random() >= max(self.plan.least, LIKELY / (1 + often) ** 2):
                return None
            self.armed = False
            return moment

    def act(self, name: str, moment: str, backend: int | None) -> None:
        """Do it, and leave a line that says where."""
        line = {"act": self.plan.act, "boundary": name, "moment": moment, "passed": self.passed}
        Path(self.plan.report).write_text(json.dumps(line))
        match self.plan.act:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "freeze":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "backend" if backend:
                os.kill(backend, signal.SIGTERM)  # what pg_terminate_backend() sends
            case "server":
                gone = Path(f"{self.plan.report}.done")
                until = time.monotonic() + 20
                while not gone.exists() and time.monotonic() < until:
                    time.sleep(0.002)
            case "disk":
                _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (1, most))
                back = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most, most))
                threading.Timer(OUT_OF_DISK, back).start()

    # -- what is wrapped -----------------------------------------------------------------------------------

    def install(self) -> None:
        """Wrap the primitives; before the bot makes its first connection."""
        self.ledger()
        self.postgres()
        self.wrap(WebClient, "api_call", lambda client, method, *a, **k: f"slack {method}")
        self.wrap(WebhookClient, "send_dict", lambda *a, **k: "slack response_url")
        self.wrap(Socket, "send", lambda *a, **k: "socket send")
        self.wrap(subprocess.Popen, "__init__", lambda popen, words, *a, **k: f"start {Path(words[0]).name}")
        for module, name in ((os, "fsync"), (os, "replace"), (os, "rename"), (os, "unlink"), (shutil, "rmtree")):
            self.wrap(module, name, lambda *a, name=name, **k: f"file {name}")

    def wrap(self, owner: Any, name: str, label: Callable[..., str]) -> None:
        """Put a boundary around one function."""
        original = getattr(owner, name)

        @wraps(original)
        def wrapped(*args: Any, **more: Any) -> Any:
            return self.around(label(*args, **more), partial(original, *args, **more))

        setattr(owner, name, wrapped)

    def ledger(self) -> None:
        """The ledger's COMMIT, by the kinds of the events that it makes durable."""
        boundaries, appended = self, Transaction.append

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *values: Any) -> Any:
                call = partial(super().execute, sql, *values)
                if sql != "COMMIT":
                    return call()
                kinds, boundaries.writing.kinds = getattr(boundaries.writing, "kinds", []), []
                return boundaries.around(f"ledger {'+'.join(kinds) or 'notes'}", call)

        def append(t: Transaction, run_id: str | None, kind: str, data: Any = None, *more: Any, **named: Any) -> Any:
            event = appended(t, run_id, kind, data, *more, **named)
            self.writing.kinds = [*getattr(self.writing, "kinds", []), kind]
            if kind == "step_started":
                self.step = event.data["step"]
            elif event.state:
                self.step = event.state.value
            return event

        connect = sqlite3.connect
        sqlite3.connect = lambda *a, **k: connect(*a, **{"factory": Connection, **k})
        Transaction.append = append  # type: ignore[method-assign]

    def postgres(self) -> None:
        """Connections and statements, by their first words."""
        self.wrap(psycopg.Connection, "connect", lambda *a, **k: "connect")
        execute, copy = psycopg.Cursor.execute, psycopg.Cursor.copy

        def one(original: Any, cursor: Any, query: Any, *more: Any, **named: Any) -> Any:
            pid = cursor.connection.info.backend_pid
            return self.around(f"sql {said(query)}", partial(original, cursor, query, *more, **named), pid)

        psycopg.Cursor.execute = lambda *a, **k: one(execute, *a, **k)  # type: ignore[method-assign]
        psycopg.Cursor.copy = lambda *a, **k: one(copy, *a, **k)  # type: ignore[method-assign]


def said(query: Any) -> str:
    """`DROP TABLE`: the first two words of a statement."""
    text = query if isinstance(query, str) else query.decode() if isinstance(query, bytes) else query.as_string(None)
    return " ".join(text[:80].split()[:2]).upper()
