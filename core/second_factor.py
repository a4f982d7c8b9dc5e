"""Who has an authenticator, and does a code count now?

The ledger says which secret counts (by its fingerprint), which codes were used and how often somebody was wrong, so that
a restart or a second process changes nothing. The secrets themselves lie beside it (`core/secrets_file.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from core import totp
from core.entry import Transaction
from core.errors import Refused
from core.ledger import Ledger
from core.model import Event, Json, Person
from core.secrets_file import SecretsFile
from core.settings import Settings

TRIES = 5
"""Wrong codes within `SPAN` after which no code of this person is looked at for `SPAN`."""
SPAN = timedelta(minutes=15)
SHOWN = 8
"""Digits of the fingerprint that people type in Slack to confirm."""


class Book(Protocol):
    """A ledger, or a transaction of one."""

    def told(self, where: str, values: Sequence[Any]) -> list[Event]:
        """Events that fit, newest first."""


@dataclass(frozen=True)
class Code:
    """What somebody typed, and at which door. It shows itself nowhere."""

    text: str = field(repr=False)
    door: Literal["slack", "shell"] = "slack"


@dataclass(frozen=True)
class Enrolment:
    """One person's authenticator. `confirmed`: it counts; `account`: whose shell it was enrolled in."""

    person: str
    fingerprint: str
    account: str
    at: datetime
    confirmed: bool


class SecondFactor:
    """The authenticators of one ledger. Accounts that are aliases of one person share one."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.ledger, self.settings = ledger, settings
        self.file = SecretsFile(settings.ledger)

    def of(self, user: str, book: Book | None = None) -> Enrolment | None:
        """What is enrolled for a person, confirmed or not."""
        person = self.settings.one_person(user)
        mine = (book or self.ledger).told("kind LIKE 'totp_%' AND json_extract(data, '$.person') = ?", [person])
        newest = next((e for e in mine if e.kind in ("totp_enrolled", "totp_removed")), None)
        if newest is None or newest.kind == "totp_removed":
            return None
        told = newest.data
        confirmed = told["replaces"] or any(e.kind == "totp_confirmed" and e.id > newest.id for e in mine)
        return Enrolment(person, told["fingerprint"], told["account"], newest.at, confirmed)

    def everybody(self, book: Book | None = None) -> list[Enrolment]:
        """All that are enrolled."""
        people = {e.data["person"] for e in (book or self.ledger).told("kind = 'totp_enrolled'", [])}
        return [found for person in sorted(people) if (found := self.of(person, book))]

    def counts(self, user: str, book: Book | None = None) -> Enrolment:
        """The person's authenticator. Raises Refused(E-TOTP) where there is none that counts, with the way to one."""
        found = self.of(user, book)
        if found is None:
            raise Refused("E-TOTP", "You have no authenticator enrolled here.", f"Nothing was approved. {ENROLL}")
        if not found.confirmed:
            raise Refused(
                "E-TOTP",
                "Your authenticator does not count yet: it is not confirmed in Slack.",
                "Type `/rollback totp confirm` and the word that your terminal has shown.",
            )
        return found

    def locked(self, user: str, book: Book | None = None) -> datetime | None:
        """Until when no code of this person is looked at; None where codes are."""
        tries = self.tries(user, book or self.ledger)
        until = tries[0].at + SPAN if tries and tries[0].data["locks"] else None
        return until if until and self.ledger.clock() < until else None

    def tries(self, user: str, book: Book) -> list[Event]:
        """The wrong ones, newest first."""
        where = "kind = 'totp_wrong' AND json_extract(data, '$.person') = ?"
        return book.told(where, [self.settings.one_person(user)])

    def prove(self, t: Transaction, who: Person, code: Code, run: str | None = None) -> Json | Refused:
        """Data of the event that uses up the code; or the refusal, to be raised once the wrong try is written down.

        Raises Refused(E-TOTP) where no code was looked at.
        """
        enrolled = self.counts(who.id, t)
        if until := self.locked(who.id, t):
            raise Refused(
                "E-TOTP",
                f"After {TRIES} wrong codes I look at no code of yours until {until:%H:%M} UTC.",
                "Was it not you? Tell your team: somebody tries. Nothing was approved.",
            )
        digits = totp.typed(code.text)
        if digits is None:
            raise Refused("E-TOTP", f"A code has {totp.DIGITS} digits. Nothing was approved.")
        found = totp.match(self.secret(enrolled), digits, t.now)
        used = self.used(who.id, t)
        if fresh := [step for step in found if step > used]:
            return {"totp": fresh[0], "door": code.door}
        return self.wrong(t, who, "used" if found else "wrong", code.door, run)

    def wrong(self, t: Transaction, who: Person, why: str, door: str, run: str | None) -> Refused:
        """A wrong try, written down; never what was typed."""
        before = self.tries(who.id, t)[: TRIES - 1]
        locks = len(before) == TRIES - 1 and t.now - before[-1].at < SPAN
        person = self.settings.one_person(who.id)
        t.append(run, "totp_wrong", {"person": person, "why": why, "door": door, "locks": locks}, who)
        said = "This code was used already." if why == "used" else "That code is wrong, or its time is over."
        hint = (
            "Each counts once: wait for the next." if why == "used" else "Take the newest; is your phone's clock right?"
        )
        if locks:
            hint = f"That was the {TRIES}th wrong one: I look at none until {t.now + SPAN:%H:%M} UTC."
        return Refused("E-TOTP", f"{said} Nothing was approved.", hint)

    def used(self, user: str, book: Book) -> int:
        """The newest step whose code was accepted; it and all before it are void. RFC 6238, 5.2."""
        person = self.settings.one_person(user)
        ids = [person, *(one for group in self.settings.aliases if person in group for one in group)]
        marks = ",".join("?" * len(ids))
        where = f"json_extract(data, '$.totp') IS NOT NULL AND json_extract(actor, '$.id') IN ({marks})"
        told = book.told(where, ids)
        return max((int(event.data["totp"]) for event in told), default=-1)

    def secret(self, enrolled: Enrolment) -> str:
        """The secret that the ledger vouches for. Raises Refused(E-TOTP)."""
        secret = self.file.read().get(enrolled.fingerprint)
        if secret is None or fingerprint(secret) != enrolled.fingerprint:
            raise Refused(
                "E-TOTP",
                "The secret of your authenticator is not in the bot's file of secrets.",
                "Enroll again: `rollback totp enroll`. Nothing was approved.",
            )
        return secret

    # -- coming and going --------------------------------------------------------------------------------------

    def enroll(self, who: Person, secret: str, shown: Code, old: Code | None = None) -> bool:
        """Enroll a new secret after a code of it; one that counts is replaced only with a code of its own.

        Does it count at once? Else it must be confirmed in Slack.

        Raises Refused(E-TOTP); then the old one, or none, stays.
        """
        with self.ledger.transaction() as t:
            found = totp.match(secret, totp.typed(shown.text) or "", t.now)
            if not found:
                raise Refused(
                    "E-TOTP",
                    "That is not a code of the new secret. Nothing was enrolled.",
                    "Is your phone's clock right?",
                )
            before = self.of(who.id, t)
            replaces = before is not None and before.confirmed and before.fingerprint in self.file.read()
            if replaces and old is None:
                raise Refused("E-TOTP", "An authenticator is enrolled: a code of it is needed to replace it.", LOST)
            no = self.prove(t, who, old) if replaces and old else None
            if not isinstance(no, Refused):
                person, step = self.settings.one_person(who.id), max(found[0], (no or {}).get("totp", -1))
                self.file.keep({**self.known(t), fingerprint(secret): secret})
                data = {"person": person, "fingerprint": fingerprint(secret), "account": who.name, "replaces": replaces}
                t.append(None, "totp_enrolled", {**data, "totp": step}, who)
        self.settled(no)
        return replaces

    def confirm(self, who: Person, word: str) -> None:
        """In Slack: it was me. So neither a shell account nor a Slack session alone enrolls anything."""
        with self.ledger.transaction() as t:
            pending = self.of(who.id, t)
            if pending is None or pending.confirmed:
                raise Refused("E-TOTP", "No authenticator of yours waits to be confirmed.", "`totp status` tells.")
            if word.lower() != pending.fingerprint[:SHOWN]:
                raise Refused(
                    "E-TOTP",
                    "That is not the word of the newest enrolment. Nothing was confirmed.",
                    "Did you not enroll it yourself? Then somebody uses your account of the machine: tell your team.",
                )
            t.append(None, "totp_confirmed", {"person": pending.person, "fingerprint": pending.fingerprint}, who)

    def remove(self, who: Person, whose: str, code: Code | None) -> None:
        """End an authenticator: one's own, or that of somebody who has lost it; with a code of who does it.

        One's own that never counted goes without a code.
        """
        no: Json | Refused = {}
        with self.ledger.transaction() as t:
            enrolled = self.of(whose, t)
            if enrolled is None:
                raise Refused("E-TOTP", "No authenticator is enrolled there.", "`rollback totp status` lists them.")
            own = self.settings.one_person(who.id) == enrolled.person
            if enrolled.confirmed or not own:
                no = self.prove(t, who, code or Code("", "shell"))
            if not isinstance(no, Refused):
                t.append(None, "totp_removed", {"person": enrolled.person, **no}, who)
        self.settled(no)

    def settled(self, no: object) -> None:
        """After the commit: raise what was refused, and let go of secrets that count no more."""
        if isinstance(no, Refused):
            raise no
        with self.ledger.transaction() as t:
            self.file.keep(self.known(t))

    def known(self, t: Transaction) -> dict[str, str]:
        """The secrets that the ledger still vouches for."""
        vouched = {one.fingerprint for one in self.everybody(t)}
        return {print_: secret for print_, secret in self.file.read().items() if print_ in vouched}


def fingerprint(secret: str) -> str:
    """Names a secret and does not tell it: SHA-256 of 160 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


ENROLL = "Enroll one on the bot's machine: `rollback totp enroll`."
LOST = "Lost it? Another enrolled person types `rollback totp remove PERSON`."
