"""Rows that look real for the sample application, the same for the same seed. No database here."""

# ruff: noqa: S311  # sample data must be the same each time; nothing here is secret

from __future__ import annotations

import json
import random
import string
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from demo.app import words

Row = tuple[object, ...]
DEPLOY = timedelta(minutes=14)  # how long ago 011 and 012 were applied

PAID = {"plus": 900, "pro": 1900, "studio": 4900}  # cents per month
RULES = (("narrative.create", 50, "day"), ("narrative.search", 600, "hour"))


@dataclass(frozen=True)
class Table:
    """Rows for one table, `columns` separated by blanks."""

    name: str
    columns: str
    rows: Iterable[Row]


def make(profiles: int, seed: int, now: datetime) -> Iterator[Table]:
    """Yield the tables with their rows, parents first; every time lies before `now`."""
    births = [now - timedelta(days=420 * (1 - i / profiles), minutes=-i % 1440) for i in range(profiles)]
    births = [min(birth, now - timedelta(hours=1)) for birth in births]
    yield _profiles(births, random.Random(f"{seed} profiles"))
    yield _epochs(births, random.Random(f"{seed} epochs"))
    yield _stages(len(births), random.Random(f"{seed} stages"))
    rng = random.Random(f"{seed} identities")
    identities = [_uuid(rng) for _ in births]
    yield _identities(births, identities, rng)
    yield _masks(births, random.Random(f"{seed} masks"))
    yield _narratives(births, random.Random(f"{seed} narratives"), now)
    yield from _verifications(births, identities, random.Random(f"{seed} verifications"))
    yield _counters(len(births), random.Random(f"{seed} counters"), now)
    subscriptions = _subscriptions(births, random.Random(f"{seed} subscriptions"), now)
    yield subscriptions
    yield _stripe_events(list(subscriptions.rows), len(births), random.Random(f"{seed} events"), now)


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _token(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(string.ascii_letters + string.digits, k=length))


def _between(rng: random.Random, start: datetime, end: datetime) -> datetime:
    return start + (end - start) * rng.random()


def _profiles(births: list[datetime], rng: random.Random) -> Table:
    rows = []
    for number, born in enumerate(births, 1):
        first, last = rng.choice(words.FIRST), rng.choice(words.LAST)
        handle = f"{first}.{last}{number}".lower()
        email = f"{handle}@{rng.choice(words.DOMAINS)}"
        status = rng.choices(("active", "paused", "closed"), (94, 4, 2))[0]
        # The default mask has the number of its profile.
        rows.append((number, handle, f"{first} {last}", email, status, born, born, number))
    columns = "id handle display_name email status created_at updated_at public_mask_id"
    return Table("profiles", columns, rows)


def _epochs(births: list[datetime], rng: random.Random) -> Table:
    rows: list[Row] = []
    for profile, born in enumerate(births, 1):
        earlier, later = rng.sample(words.EPOCHS, 2)
        turn = (born - timedelta(days=rng.randint(100, 2000))).date()
        start = turn - timedelta(days=rng.randint(300, 4000))
        rows.append((2 * profile - 1, profile, earlier, start, turn, born))
        rows.append((2 * profile, profile, later, turn, None, born))
    return Table("epochs", "id profile_id title starts_on ends_on created_at", rows)


def _stages(profiles: int, rng: random.Random) -> Table:
    kinds = ("opening", "turning_point", "closing")
    steps = [
        (epoch, position, kinds[position - 1], rng.choice(words.STAGES))
        for epoch in range(1, 2 * profiles + 1)
        for position in range(1, 3 if epoch % 2 else 2)
    ]
    return Table("stages", "id epoch_id position kind name", [(n, *step) for n, step in enumerate(steps, 1)])


def _identities(births: list[datetime], ids: list[str], rng: random.Random) -> Table:
    rows = [
        (ids[i], i + 1, rng.choice(("google", "apple", "passkey")), _token(rng, 21), born, born)
        for i, born in enumerate(births)
    ]
    return Table("identities", "id profile_id provider subject last_used_at created_at", rows)


def _masks(births: list[datetime], rng: random.Random) -> Table:
    rows: list[Row] = [
        (number, number, "Public", rng.choice(("{display_name}", "{display_name,handle}")), True, born)
        for number, born in enumerate(births, 1)
    ]
    some = sorted(rng.sample(range(len(births)), len(births) * 3 // 10))
    for number, i in enumerate(some, len(births) + 1):
        rows.append((number, i + 1, rng.choice(words.MASKS), "{display_name,email,epochs}", False, births[i]))
    return Table("masks", "id profile_id name visible_fields is_default created_at", rows)


def _narratives(births: list[datetime], rng: random.Random, now: datetime) -> Table:
    rows = []
    for number in range(1, len(births) * 8 // 10 + 1):
        i = rng.randrange(len(births))
        body = " ".join(rng.sample(words.SENTENCES, 3))
        written = _between(rng, births[i], now)
        status = rng.choices(("published", "draft", "archived"), (70, 22, 8))[0]
        published = written if status == "published" else None
        title = f"{rng.choice(words.STAGES)}, {rng.choice(words.PLACES)}"
        rows.append((number, i + 1, 2 * i + 2, i + 1, title, body, status, published, written, written))
    columns = "id profile_id epoch_id mask_id title body status published_at created_at updated_at"
    return Table("narratives", columns, rows)


def _verifications(births: list[datetime], ids: list[str], rng: random.Random) -> Iterator[Table]:
    rows: list[Row] = []
    credentials: list[Row] = []
    for number, i in enumerate(sorted(rng.sample(range(len(births)), len(births) * 4 // 10)), 1):
        kind = rng.choice(("email", "document", "employer"))
        status = rng.choices(("verified", "pending", "rejected", "expired"), (70, 12, 10, 8))[0]
        asked, decided = births[i], births[i] + timedelta(minutes=rng.randint(1, 55))
        evidence = json.dumps({"method": kind, "score": rng.randint(40, 99)})
        done = None if status == "pending" else decided
        rows.append((number, i + 1, ids[i], kind, status, evidence, asked, done))
        if status == "verified":
            credentials.append((_uuid(rng), number, _vc(i + 1, kind), decided))
    columns = "id profile_id identity_id kind status evidence requested_at decided_at"
    yield Table("verifications", columns, rows)
    yield Table("verifiable_credentials", "id verification_id credential issued_at", credentials)


def _vc(profile: int, kind: str) -> str:
    # The shape of the W3C Verifiable Credentials Data Model 2.0.
    return json.dumps(
        {
            "@context": ["https://www.w3.org/ns/credentials/v2"],
            "type": ["VerifiableCredential", f"{kind.title()}Credential"],
            "issuer": "did:web:app.example.com",
            "credentialSubject": {"id": f"did:web:app.example.com:{profile}", "verified": kind},
        }
    )


def _counters(profiles: int, rng: random.Random, now: datetime) -> Table:
    hour = now.replace(minute=0, second=0, microsecond=0)
    start = {"hour": hour, "day": hour.replace(hour=0)}
    rows = [
        (profile, resource, start[window], rng.randint(1, quota // 2))
        for resource, quota, window in RULES
        for profile in sorted(rng.sample(range(1, profiles + 1), profiles * 3 // 10))
    ]
    return Table("rate_limit_counters", "profile_id resource window_start used", rows)


def _subscriptions(births: list[datetime], rng: random.Random, now: datetime) -> Table:
    live = rng.sample(range(len(births)), len(births) * 1204 // 10_000)
    gone = rng.choices(range(len(births)), k=len(births) * 4214 // 10_000)
    fresh = len(births) * 37 // 10_000  # bought since the deploy; the others were copied from Stripe by it
    drafts: list[tuple[datetime, int, bool]] = []
    for order, i in enumerate(live):
        since = now - DEPLOY + timedelta(seconds=5) if order < fresh else births[i]
        until = now if order < fresh else now - 2 * DEPLOY
        drafts.append((_between(rng, since, until), i + 1, True))
    drafts += [(_between(rng, births[i], now - 2 * DEPLOY), i + 1, False) for i in gone]
    rows = []
    for number, (bought, profile, is_live) in enumerate(sorted(drafts), 1):
        plan, months = rng.choices(tuple(PAID), (60, 32, 8))[0], rng.choice((1, 1, 1, 12))
        status = rng.choices(("active", "trialing", "past_due"), (88, 8, 4))[0] if is_live else "canceled"
        ended = None if is_live else _between(rng, bought, now - DEPLOY)
        cents = PAID[plan] * (10 if months == 12 else 1)
        period_end = now + timedelta(days=rng.randint(1, 29)) if is_live else ended
        token = f"sub_1P{_token(rng, 22)}"
        rows.append((number, profile, token, plan, status, cents, months, period_end, ended, bought, bought))
    columns = "id profile_id stripe_subscription_id plan status amount_cents months_per_period"
    return Table("subscriptions", f"{columns} current_period_end canceled_at created_at updated_at", rows)


def _stripe_events(subscriptions: list[Row], profiles: int, rng: random.Random, now: datetime) -> Table:
    """Stripe sent its backlog again after the deploy; some events still fail, as in the story of the demo."""
    rows = []
    for number in range(profiles * 912 // 1000):
        subscription = subscriptions[number % len(subscriptions)]
        kind = "customer.subscription.updated" if number < len(subscriptions) else rng.choice(words.EVENTS)
        token = f"evt_1P{_token(rng, 22)}"
        payload = {"id": token, "object": "event", "type": kind, "livemode": True}
        received = _between(rng, now - DEPLOY + timedelta(seconds=9), now)
        failing = rng.random() < 0.02
        attempts = rng.randint(2, 5) if failing else 1
        done = None if failing else received
        data = json.dumps({**payload, "data": {"object": {"id": subscription[2]}}})
        rows.append((token, kind, subscription[0], data, attempts, received, done))
    columns = "event_id type subscription_id payload attempts received_at processed_at"
    return Table("stripe_events", columns, rows)
