"""Wires everything together; the only place that does. `python -m bot`, `… --healthy`, `… --witness [FILE]`."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.announcer import Announcer, SlackRefuses
from bot.app import build_app
from bot.clock import scheduler
from bot.http import HttpDoor
from bot.pace import Pace
from bot.people import People
from bot.witness import Reader, from_file
from bot.worker import Worker
from core import ask_witness, config
from core.desk import Desk
from core.engine import Engine
from core.errors import Problem, Refused
from core.ledger import Ledger
from core.logs import set_up
from core.roll_back import RUNBOOKS
from core.settings import Settings, policy

log = structlog.get_logger()
GRACE = 30.0  # seconds for what is running when we are told to end


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 told to end, 2 settings, 3 refused, 69 Slack will not have us."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["--witness"]:
        return read_back(words[1:])
    try:
        settings = config.load()
        set_up(settings)
        if words == ["--healthy"]:
            return healthy(settings)
        return Bot(settings).run()
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit


def healthy(settings: Settings) -> int:
    """0 where a bot holds the ledger and its heart beats."""
    ledger = Ledger(settings.ledger)
    return 0 if ledger.held("bot") and ledger.beaten("bot") < 15 else 1


def read_back(files: list[str]) -> int:
    """For `rollback audit verify --witness`: what we have posted, or the refusal, as one object on stdout."""
    try:
        if files:
            said = from_file(Path(files[0]))
        else:
            settings = config.load()
            client = client_of(settings)
            said = Reader(client, settings, People(client, settings)).read()
    except Problem as problem:
        refused = {"code": problem.code, "message": problem.message, "hint": problem.hint}
        print(json.dumps({"refused": refused}))
        return problem.exit
    print(ask_witness.told(said))
    return 0


def client_of(settings: Settings) -> WebClient:
    """The Web API client: no retries of its own, a post that was answered too late must not become two."""
    token = settings.slack.bot_token
    if token is None:
        raise Refused("E-CONFIG", "There is no bot token.", "Set SLACK_BOT_TOKEN; the README says where it comes from.")
    base = settings.slack.api_url.rstrip("/") + "/"
    local = urlsplit(base).hostname in ("127.0.0.1", "localhost", "::1")
    client = WebClient(token=token.get_secret_value(), base_url=base, timeout=10, retry_handlers=[])
    if local:
        client.proxy = None
    return client


@contextmanager
def answering() -> Iterator[None]:
    """Slack's no at the start, in words. Raises Refused(E-SLACK)."""
    try:
        yield
    except SlackApiError as error:
        why = error.response["error"]
        raise Refused("E-SLACK", f"Slack refuses us: {why}.", "Check SLACK_BOT_TOKEN and SLACK_APP_TOKEN.") from None
    except OSError:
        raise Refused("E-SLACK", "Slack does not answer.", "Check the network and SLACK_API_URL.") from None


class Bot:
    """The process: one ledger, one Slack app, a few threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.ledger)
        self.holder = self.ledger.hold("bot")
        if self.holder is None:
            raise Refused(
                "E-LEDGER", "Another bot works on this audit trail.", "One bot per ledger: stop the other one first."
            )
        self.ledger.declare(self.holder, policy(settings))
        self.ending = threading.Event()
        self.code = 0
        self.client = client_of(settings)
        self.people = People(self.client, settings)
        self.desk = Desk(self.ledger, settings)
        self.engine = Engine(RUNBOOKS, self.ledger, settings, self.people, self.ending.is_set)
        self.pool = ThreadPoolExecutor(8, "work")

    def run(self) -> int:
        """Until SIGTERM, SIGINT, or until Slack refuses us."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ending.set())
        with answering():
            door = self.door()
        announcer = Announcer(
            self.client, self.ledger, self.settings, self.people, Pace(self.settings.slack.post_every.total_seconds())
        )
        announcer.begin()
        worker = Worker(self.engine, self.ledger, self.pool)
        clock = scheduler(self.desk, self.people, lambda: self.ledger.beat("bot"))
        threads = [threading.Thread(target=self.watched, args=(part.run,), daemon=True) for part in (announcer, worker)]
        for thread in threads:
            thread.start()
        clock.start()
        try:
            with answering():
                door.connect()
            log.info("ready", targets=list(self.settings.targets), mode=self.settings.slack.mode)
            self.ending.wait()
        finally:
            self.drain(announcer, worker, clock, door, threads)
        return self.code

    def door(self) -> SocketModeHandler | HttpDoor:
        """How Slack reaches us. Raises Refused(E-CONFIG)."""
        slack = self.settings.slack
        secret = slack.signing_secret.get_secret_value() if slack.signing_secret and slack.mode == "http" else None
        if slack.mode == "http" and not secret:
            raise Refused(
                "E-CONFIG", "HTTP without a signing secret would take orders from anybody.", "Set SLACK_SIGNING_SECRET."
            )
        if slack.mode == "socket" and slack.app_token is None:
            raise Refused("E-CONFIG", "There is no app-level token for Socket Mode.", "Set SLACK_APP_TOKEN.")
        app = build_app(self.client, self.desk, self.engine, self.people, self.pool, secret)
        if secret:
            return HttpDoor(app, secret, slack.http_host, slack.http_port)
        token = slack.app_token.get_secret_value() if slack.app_token else None
        return SocketModeHandler(app, token, ping_interval=5)

    def watched(self, loop: object) -> None:
        """A part of the bot that ends by itself ends the process, loudly: the supervisor starts a new one."""
        try:
            loop()  # type: ignore[operator]
        except SlackRefuses as no:
            log.error("slack refuses this app", slack_error=str(no))
            self.code = 69
        except Exception:
            log.exception("bug")
            self.code = 1
        self.ending.set()

    def drain(
        self,
        announcer: Announcer,
        worker: Worker,
        clock: object,
        door: SocketModeHandler | HttpDoor,
        threads: list[threading.Thread],
    ) -> None:
        """No new work; what runs ends or is taken back by the database; what happened is still told."""
        worker.stop.set()
        door.close()
        clock.shutdown(wait=False)  # type: ignore[attr-defined]
        self.pool.shutdown(wait=True, cancel_futures=True)
        announcer.stop.set()
        for thread in threads:
            thread.join(GRACE)
        self.ledger.close()
        if self.holder:
            self.holder.close()


if __name__ == "__main__":
    sys.exit(main())
