"""`/rollback backup` and `/rollback readiness`: for before anything is wrong."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from slack_bolt.response import BoltResponse

from bot import messages
from bot.answering import Answering
from bot.guard import who
from bot.people import People
from bot.reply import Reply
from core import board, readiness
from core.backups import taking
from core.desk import Desk
from core.engine import Engine
from core.grammar import Command
from core.model import Json, Person
from core.settings import Target


class Preparing:
    """`pool`: it may be filled for hours, so nothing else that people wait for is in it."""

    def __init__(self, desk: Desk, people: People, engine: Engine, pool: Executor) -> None:
        self.ledger, self.settings, self.people = desk.ledger, desk.settings, people
        self.ending, self.answering = engine.draining, Answering(pool)

    def looking(self, work: Callable[[], messages.Message], reply: Reply, meanwhile: str) -> BoltResponse:
        """Acknowledge now, answer when it is done. Raises Refused(E-RATE)."""
        self.answering.start(who(reply.body), work, reply.later, messages.refusal)
        return reply.ack(text=meanwhile, response_type="ephemeral")

    def backup(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        """Whoever may ask on the target may have it backed up. It may take longer than Slack keeps the way to answer open."""
        target = self.settings.target(command.target)
        self.people.may_ask(person, target)

        def work() -> messages.Message:
            made = taking.take(self.ledger, self.settings, target, person, ending=self.ending)
            text = f"{made.kept.id} is there. The channel says more."
            return {"text": text, "blocks": [messages.section(text)]}

        return self.looking(work, reply, f"Taking a backup of {target.name}. The channel hears how it ends.")

    def readiness(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        """The board; with `now` it is made anew, by whoever may ask on the target."""
        target = self.settings.target(command.target)
        if "now" not in command.args:
            return reply.tell(self.board(target))
        self.people.may_ask(person, target)

        def work() -> messages.Message:
            found = readiness.look(self.ledger, self.settings, target, None, ending=self.ending)
            board.keep(self.ledger, target.name, found, person)
            return self.board(target)

        return self.looking(work, reply, f"Trying what could be undone on {target.name}, on a copy. It follows here.")

    def board(self, target: Target) -> messages.Message:
        """What could be undone, as it was last looked at."""
        aged = board.newest_proven(self.ledger, self.settings, target)
        return messages.board(target.name, board.board(self.ledger, target.name), aged, self.ledger.clock())
