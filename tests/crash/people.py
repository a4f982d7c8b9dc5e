"""The people of a world: they look at the card, click what it offers, and try again where the bot was away."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from core.ledger import Ledger
from core.model import Run, State
from demo.workspace import View, Workspace, WorkspaceError
from tests.bench_fixtures import ANA, BOB, CHANNEL, CHEN, word_of

AWAY = (
    "operation_timeout",
    "dispatch_failed",
    "no_such_element",
    "message_not_found",
    "not_found",
    "expired_trigger_id",
)
"""What a person sees where the bot did not answer, or the card has moved on."""
FATES = (("rb.review", 86), ("rb.deny", 4), ("rb.withdraw", 4), ("rb.stop", 6))
"""What becomes of a request that waits for people, and how often."""


@dataclass
class People:
    """Ana asks; Bob or Chen decides."""

    slack: Workspace
    ledger: Ledger
    dice: random.Random
    fates: dict[str, str] = field(default_factory=dict)  # by run: what people mean to do
    tried: int = 0
    away: int = 0

    def asks(self, text: str) -> None:
        """`/rollback text`."""
        self.tried += 1
        try:
            self.slack.command(ANA, CHANNEL, text)
        except WorkspaceError as error:
            self.excused(error)

    def goes_back(self, kind: str, run: Run) -> None:
        """Re-apply or restore, by the button of the card that is done."""
        self.fills_in(run, f"rb.{kind}", ANA)

    def asked(self, known: set[str]) -> str | None:
        """The run that has come of it; None: none yet."""
        found = [run.id for run in self.ledger.runs(limit=3) if run.id not in known]
        assert len(found) < 2, f"one request has become two runs: {found}"
        return found[0] if found else None

    def act(self, run: Run) -> None:
        """One thing that a person would do now, if there is one."""
        match run.state:
            case State.WAITING:
                names, weights = zip(*FATES, strict=True)
                fate = self.fates.setdefault(run.id, self.dice.choices(names, weights)[0])
                if fate == "rb.stop":
                    return self.clicks(run, "rb.withdraw", ANA)  # Stop is offered once it is approved
                if fate in ("rb.review", "rb.deny"):
                    return self.fills_in(run, fate, self.dice.choice((BOB, CHEN)))
                return self.clicks(run, fate, ANA)
            case State.APPROVED if self.fates.get(run.id) == "rb.stop":
                return self.clicks(run, "rb.stop", BOB)
            case State.INTERRUPTED:
                return self.clicks(run, self.dice.choice(("rb.resume", "rb.resume", "rb.resume", "rb.stop")), ANA)
            case State.DECIDE:
                return self.clicks(run, self.dice.choice(("rb.verify", "rb.verify", "rb.keep")), BOB)
            case State.NEEDS_A_PERSON if run.half_done:
                return self.clicks(run, "rb.resume", ANA)

    def clicks(self, run: Run, action: str, user: str) -> None:
        """A button on the card."""
        ts = self.card(run)
        if ts is None:
            return
        self.tried += 1
        try:
            self.slack.click(user, CHANNEL, ts, action)
        except WorkspaceError as error:
            self.excused(error)

    def fills_in(self, run: Run, action: str, user: str) -> None:
        """A button that opens a form, and the form."""
        with self.slack.state.changing():
            self.slack.state.modals[user] = []
        self.clicks(run, action, user)
        view = self.slack.open_view(user)
        if view is None or "submit" not in view.body:
            return
        self.tried += 1
        try:
            self.slack.submit(user, values(view))
        except WorkspaceError as error:
            self.excused(error)

    def card(self, run: Run) -> str | None:
        """The newest card of a run, as its readers see it."""
        posts = self.ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run.id,), newest=True)
        return str(posts[0]["ts"]) if posts else None

    def told(self) -> list[str]:
        """What Ana was told last, and only she."""
        return [one.text for one in self.slack.messages(CHANNEL, viewer=ANA) if one.ephemeral_for][-3:]

    def excused(self, error: WorkspaceError) -> None:
        """The bot was away, or slower than the person."""
        assert error.error in AWAY, error
        self.away += 1


def values(view: View) -> dict[str, str]:
    """What a person types into each field."""
    found = {}
    for block in view.blocks:
        if block["type"] == "input":
            name = block["block_id"]
            found[name] = word_of(block) if name == "confirm" else "the old code does not run"
    return found
