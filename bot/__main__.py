"""Wires everything together; the only place that does. `python -m bot`, `… --healthy`, `… --witness [FILE]`."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.error import BoltError

from bot.announcer import Announcer
from bot.app import build_app
from bot.applied import AppliedWatch
from bot.client import client_of, name_of, passing
from bot.clock import guarded, scheduler
from bot.drain import PROOFS, Drain
from bot.driller import Driller
from bot.home import Homes
from bot.http import HttpDoor
from bot.nightly import Nightly
from bot.pace import Pace
from bot.people import AWAY, People
from bot.questions import healthy, may_approve, read_back
from bot.sending import SlackRefuses
from bot.vitals import Vitals
from bot.watchdog import Watchdog
from bot.worker import Worker
from core import config
from core.complaint import bug
from core.desk import Desk
from core.engine import Engine
from core.errors import Problem, Refused
from core.ledger import Ledger
from core.logs import set_up
from core.roll_back import RUNBOOKS
from core.settings import Settings, policy

if TYPE_CHECKING:
    from bot.port import Port

log = structlog.get_logger()
CLOSING = 5.0  # seconds for connections and threads to close
Told = SimpleQueue[int]
"""Why to look up: a signal's number, or 0. Its `put` may be called in the middle of anything, as a signal does."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 told to end, 1 a fault of ours or of the ledger, 2 settings, 3 refused, 69 Slack will not have us."""
    told = Told()
    for number in (signal.SIGTERM, signal.SIGINT):  # first of all: process 1 has no default for them
        signal.signal(number, lambda number, _: told.put(number))
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["--witness"]:
        return read_back(words[1:])
    try:
        settings = config.load()
        set_up(settings)
        if words == ["--healthy"]:
            return healthy(settings)
        if words[:1] == ["--may-approve"] and len(words) == 3:
            return may_approve(settings, *words[1:])
        return Bot(settings, told).run()
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit
    except Exception as error:
        if structlog.is_configured():
            log.error("bug", exc_info=error)
        print(bug(error), file=sys.stderr)
        return 1


class Bot:
    """The process: one ledger, one Slack app, a few threads."""

    def __init__(self, settings: Settings, told: Told) -> None:
        self.settings, self.told = settings, told
        self.ledger = Ledger(settings.ledger)
        self.place = self.ledger.sole()
        if self.place is None:
            raise Refused(
                "E-LEDGER", "Another bot works on this audit trail.", "One bot per ledger: stop the other one first."
            )
        self.ledger.declare(self.place.lock, policy(settings))
        self.vitals, self.cut, self.code = Vitals(), threading.Event(), 0
        self.open = False  # Slack has a way to us
        self.client = client_of(settings, self.vitals)
        self.people = People(self.client, settings)
        self.desk = Desk(self.ledger, settings)
        self.engine = Engine(RUNBOOKS, self.ledger, settings, self.people, self.vitals.ending.is_set, self.cut.is_set)
        # each its own threads, so that none keeps another waiting: rollbacks; answers at once, and those that may take hours; nightly
        # looks; what is applied; drills, one of a target at a time, which may wait for days
        sizes = {"work": 8, "answer": 8, "long": 2, "slow": 2, "watch": 2, "drill": max(1, len(settings.targets))}
        self.pools = {name: ThreadPoolExecutor(size, name) for name, size in sizes.items()}
        self.pool, self.answers = self.pools["work"], self.pools["answer"]
        self.driller = Driller(self.ledger, settings, self.pools["drill"], self.vitals.ending.is_set)
        self.nightly = Nightly(self.ledger, settings, self.pools["slow"], self.vitals.ending.is_set)
        self.watchdog: Watchdog | None = None
        pace = Pace(settings.slack.post_every.total_seconds())
        self.announcer = Announcer(self.client, self.ledger, settings, self.people, pace)
        self.worker = Worker(self.engine, self.ledger, self.pool)
        self.engine.stuck, self.announcer.far = self.announcer.aside, self.engine.far
        self.homes = Homes(self.client, self.desk, self.people, self.answers, self.health)
        self.announcer.after = self.homes.turn
        self.announcer.beat = self.worker.beat = self.vitals.beat

    def run(self) -> int:
        """Until SIGTERM, SIGINT, until Slack refuses us, or something of ours ends by itself."""
        self.check()
        port = self.port()
        self.announcer.begin()
        self.client.no_more = lambda error: self.refused(error)
        parts = {"announcer": self.announcer.run, "worker": self.worker.run}
        self.vitals.expect("main", "clock", *parts)
        clock = scheduler(self.desk, self.people, self.beat, self.unheard, self.driller.look)
        turn, first = guarded(self.nightly.turn), datetime.now(UTC)
        clock.add_job(turn, "interval", minutes=1, id="nightly", next_run_time=first)
        AppliedWatch(self.desk, self.pools["watch"], self.vitals.ending.is_set).begin(clock)
        threads = [
            threading.Thread(target=self.watched, args=(name, loop), name=name, daemon=True)
            for name, loop in parts.items()
        ]
        for thread in threads:
            thread.start()
        clock.start()
        door = None
        try:
            door = self.reached()
            if door:
                self.watch(door)
        finally:
            self.drain(clock, door, threads)
            if port:
                port.close()
        return self.code

    def reached(self) -> SocketModeHandler | HttpDoor | None:
        """The way to Slack, as soon as Slack answers; None: told to end before. Raises Refused(E-SLACK).

        What is under way goes on meanwhile: services that a restore has stopped do not wait for Slack.
        """
        wait = 0.5
        while not self.vitals.ending.is_set():
            door = None
            try:
                door = self.door()
                door.connect()
                return door
            except (*AWAY, BoltError) as error:  # Bolt's own auth.test comes after one of ours that was answered
                if door:
                    door.close()
                if not passing(error):
                    why, hint = name_of(error), "Check SLACK_BOT_TOKEN and SLACK_APP_TOKEN."
                    raise Refused("E-SLACK", f"Slack refuses us: {why}.", hint) from None
                log.warning("slack does not answer, trying again", error=type(error).__name__, seconds=wait)
            self.listen(wait)
            wait = min(wait * 2, 10.0)
        return None

    def listen(self, seconds: float) -> None:
        """Wait for a signal, or another reason to end."""
        self.vitals.beat("main")
        with suppress(Empty):
            if number := self.told.get(timeout=seconds):
                self.end(0)
                log.info("told to end", signal=signal.Signals(number).name)

    def watch(self, door: SocketModeHandler | HttpDoor) -> None:
        """Look around about once a second, until there is a reason to end."""
        self.open = True
        if isinstance(door, SocketModeHandler):
            self.watchdog = Watchdog(door, self.settings.slack.silence.total_seconds())
        log.info("ready", targets=list(self.settings.targets), mode=self.settings.slack.mode)
        for target in self.settings.targets.values():
            if self.settings.grace < target.lock_wait + target.statement_timeout:
                log.warning("grace is shorter than lock_wait and statement_timeout", target=target.name)
        while not self.vitals.ending.is_set():
            if self.watchdog and self.watchdog.silent():
                self.end(69, "slack's socket is silent: ending, to be started again", fault=self.watchdog.fault())
            self.listen(1.0)

    def end(self, code: int, why: str = "", **more: object) -> None:
        """The first reason to end counts; the process then drains."""
        if self.vitals.ending.is_set():
            return
        self.code = code
        self.vitals.ending.set()
        self.told.put(0)
        if why:
            log.error(why, **more)

    def refused(self, error: str) -> None:
        """Slack takes nothing from this app any more."""
        remedy = "install the app again, or set the new tokens, and start the bot again"
        self.end(69, "slack refuses this app", slack_error=error, remedy=remedy)

    def beat(self) -> None:
        """The process is alive, and the one bot of this ledger."""
        lost = self.place.lost() if self.place else ""
        if lost:
            remedy = "put the file back, see that only one bot runs on it, and start the bot again"
            self.end(1, "the audit trail is not mine any more", problem=lost, remedy=remedy)
            return
        self.vitals.beat("clock")
        self.ledger.beat("bot")

    def port(self) -> Port | None:
        """Health and metrics, where an address is set. Raises Refused(E-CONFIG)."""
        address = self.settings.health_listen
        if address is None:
            return None
        from bot.metrics import Metrics  # takes a tenth of a second, and many go without
        from bot.port import Port
        from bot.prepared_metrics import prepared

        def socket() -> tuple[bool, float] | None:
            return (self.watchdog.connected(), self.watchdog.age) if self.watchdog else None

        try:
            more = partial(prepared, self.ledger, self.settings)
            metrics = Metrics(self.ledger, self.vitals, socket, more)
            port = Port(address, self.vitals, self.ledger, self.slack_fault, metrics)
        except OSError as error:
            why = os.strerror(error.errno).lower() if error.errno else "it is unknown"
            raise Refused(
                "E-CONFIG", f"I cannot listen on `health_listen`: {why}.", "Choose another address."
            ) from None
        port.start()
        return port

    def unheard(self) -> float:
        """Seconds since a click could last have reached us; infinite while none can, or none is taken any more."""
        if self.vitals.ending.is_set() or not self.open:
            return math.inf
        return self.watchdog.age if self.watchdog else 0.0

    def health(self) -> list[str]:
        """Sentences about the bot itself, for the Home tab."""
        told = []
        with suppress(OSError):
            room = shutil.disk_usage(self.settings.backup_dir)
            told.append(f"Backup disk {100 * room.free // room.total} % free")
        if self.watchdog:
            fault = self.watchdog.fault()
            told.append(f"Warning: {fault}" if fault else "Socket connected")
        return [*told, *self.vitals.stuck()]

    def slack_fault(self) -> str:
        """Why Slack's clicks do not arrive; empty where they do."""
        if self.watchdog:
            return self.watchdog.fault()
        return "" if self.settings.slack.mode == "http" else "slack: not connected yet"

    def check(self) -> None:
        """Raises Refused(E-CONFIG) where Slack could never reach us."""
        slack = self.settings.slack
        if slack.mode == "http" and not slack.signing_secret:
            raise Refused(
                "E-CONFIG", "HTTP without a signing secret would take orders from anybody.", "Set SLACK_SIGNING_SECRET."
            )
        if slack.mode == "socket" and slack.app_token is None:
            raise Refused("E-CONFIG", "There is no app-level token for Socket Mode.", "Set SLACK_APP_TOKEN.")

    def door(self) -> SocketModeHandler | HttpDoor:
        """How Slack reaches us; asks Slack who we are. Raises one of AWAY, or BoltError."""
        slack = self.settings.slack
        secret = slack.signing_secret.get_secret_value() if slack.signing_secret and slack.mode == "http" else None
        app = build_app(
            self.client, self.desk, self.engine, self.people, self.answers, self.vitals, secret,
            self.homes, self.announcer.reading, self.pools["long"],
        )  # fmt: skip
        if secret:
            return HttpDoor(app, secret, slack.http_host, slack.http_port, self.ledger.first_time)
        token = slack.app_token.get_secret_value() if slack.app_token else None
        pings = min(5.0, self.settings.slack.silence.total_seconds() / 4)
        return SocketModeHandler(app, token, ping_interval=pings)

    def watched(self, name: str, loop: Callable[[], object]) -> None:
        """A part of the bot that ends by itself ends the process, loudly: the supervisor starts a new one."""
        try:
            loop()
        except SlackRefuses as no:
            self.refused(str(no))
        except Problem as problem:
            self.end(1, "a part of me cannot go on", part=name, problem=str(problem))
        except Exception:
            log.exception("bug", part=name)
        finally:
            self.end(1, "a part of me has ended", part=name)

    def drain(
        self, clock: BackgroundScheduler, door: SocketModeHandler | HttpDoor | None, threads: list[threading.Thread]
    ) -> None:
        """No new work; what runs ends or is taken back by the database; what happened is still told."""
        self.end(1)  # where the start itself has failed
        self.vitals.retire("main", "worker")
        self.worker.stop.set()
        drain = Drain(self.ledger, self.settings, self.worker, self.cut)
        drain.walks()
        drain.until(lambda: not (self.driller.busy() or self.nightly.busy()), PROOFS)
        clock.shutdown(wait=False)
        drain.telling(self.announcer, threads[0])
        closing = threading.Thread(target=door.close if door else lambda: None, daemon=True)
        closing.start()
        self.announcer.stop.set()
        for pool in self.pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + CLOSING
        for thread in (closing, *threads):
            thread.join(max(0.0, until - time.monotonic()))
        self.leave()

    def leave(self) -> None:
        """Close the ledger and give the place up. A thread that cannot end does not keep the process."""
        deadline = time.monotonic() + CLOSING
        while self.working() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.working():
            log.warning("ending with threads at work", threads=self.working(), code=self.code)
            sys.stderr.flush()
            os._exit(self.code)  # the server undoes what they have not committed
        self.ledger.close()
        if self.place:
            self.place.close()

    @staticmethod
    def working() -> list[str]:
        """Threads that Python would wait for."""
        return [one.name for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]


if __name__ == "__main__":
    sys.exit(main())
