"""The story of the demo, played by people over the real protocol, and told as the channel shows it."""

from __future__ import annotations

from collections.abc import Callable

from core.model import State
from demo.bench import Bench
from demo.workspace import Answer, Message, Workspace
from demo.workspace.text import message_lines

CHANNEL = "C0INCIDENTS"
REASON = "checkout 500s since the 14:02 deploy"


class Story:
    """Says what people do, shows what Slack shows them; `tell` prints one line."""

    def __init__(self, bench: Bench, tell: Callable[[str], None]) -> None:
        self.bench, self.tell = bench, tell
        self.told: set[str] = set()

    @property
    def slack(self) -> Workspace:
        return self.bench.workspace

    def play(self) -> bool:
        """True where it ended verified: the run is done, the chain unbroken, and its head was shown in the channel."""
        self.tell("#incidents")
        self.does("U0ANA", f"/rollback 011_subscriptions --reason {REASON}")
        self.hears(self.slack.command("U0ANA", CHANNEL, f"011_subscriptions --reason {REASON}"))
        card = self.wait(self.card)
        self.shows(card)
        self.does("U0ANA", "clicks [Review and approve] on the request of her own")
        self.slack.click("U0ANA", CHANNEL, card.ts, "rb.review")
        self.shows(self.wait(self.refusal))
        self.does("U0BOB", "clicks [Review and approve], reads, types 011, sends it off")
        self.slack.click("U0BOB", CHANNEL, card.ts, "rb.review")
        self.slack.submit("U0BOB", {"confirm": "011", "note": "Looks right, payments are down"})
        self.slack.wait_for(lambda: self.ended(card.ts), 120)
        for line in self.slack.thread(CHANNEL, card.ts):
            self.shows(line, "  ")
        self.shows(self.wait(lambda: self.finished_card(card.ts)))
        return self.audited()

    def wait(self, look: Callable[[], Message | None]) -> Message:
        """The message, as soon as it is there. Raises TimeoutError."""
        found = self.slack.wait_for(look, 60)
        if found is None:
            raise TimeoutError
        return found

    def card(self) -> Message | None:
        """The card: a message of the bot in the channel with a review button."""
        found = [m for m in self.slack.messages(CHANNEL) if "rb.review" in str(m.blocks)]
        return found[-1] if found else None

    def refusal(self) -> Message | None:
        """What only Ana sees: her own click does not count."""
        found = [m for m in self.slack.messages(CHANNEL, viewer="U0ANA") if m.ephemeral_for and "E-SELF" in m.text]
        return found[-1] if found else None

    def finished_card(self, ts: str) -> Message | None:
        """The card once it says how it ended."""
        found = next(m for m in self.slack.messages(CHANNEL) if m.ts == ts)
        return found if "rb.timeline" in str(found.blocks) else None

    def ended(self, ts: str) -> bool:
        """Has the thread said how it ended?"""
        return any(message.reply_broadcast for message in self.slack.thread(CHANNEL, ts))

    def audited(self) -> bool:
        """Hold the audit trail against the channel."""
        ledger = self.bench.ledger
        try:
            run, verdict = ledger.runs(limit=1)[0], ledger.verify()
        finally:
            ledger.close()
        end = run.ending.digest[:16] if run.ending else "none"
        shown = any(end in str(message.blocks) for message in self.slack.messages(CHANNEL))
        words = "chain unbroken" if verdict.unbroken else "CHAIN BROKEN"
        self.tell(f"\nAudit trail: {verdict.events} events, {words}. {run.id} ended with {end}, ")
        self.tell(f"which the channel {'shows too' if shown else 'DOES NOT SHOW'}: the outside witness.")
        return run.state is State.DONE and verdict.unbroken and shown

    # -- telling -------------------------------------------------------------------------------------------

    def does(self, user: str, what: str) -> None:
        """A person acts."""
        self.tell(f"\n{self.slack.state.members[user].real_name}  {what}")

    def hears(self, answer: Answer) -> None:
        """What only this person sees."""
        for line in (answer.text or "").splitlines():
            self.tell(f"  (only visible to you) rollback: {line}")

    def shows(self, message: Message, indent: str = "") -> None:
        """A message, as its blocks read."""
        with self.slack.state.reading():
            lines = list(message_lines(self.slack.state, message))
        self.tell("")
        for line in lines:
            self.tell(f"{indent}{line}")
