"""Every wrong input gets one answer: what happened, that nothing was started, what to do, a code. Nothing stays half done.

The answers stand whole in `stories/refusals.txt`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from core.grammar import SYMBOLS
from core.model import State
from demo.bench import Bench
from demo.postgres import Server
from demo.workspace import Channel, Workspace, sample_channels
from tests import forks, stand_ins
from tests.bench_fixtures import (
    ANA,
    BOB,
    CHANNEL,
    CHEN,
    DEE,
    GUEST,
    QUICK,
    Play,
    copied,
    playing,
    settings_of,
    stable,
)  # fmt: skip
from tests.conftest import fresh
from tests.refusals import kept, nothing_half_done, raw_click, refused

PASSWORD = "wrong-horse-9-staple"
SCRIPT_012 = "DROP FUNCTION claim_stripe_event(text, text, jsonb);\nDROP TABLE stripe_events;\n"
PENDING = {"013_plans.sql": "CREATE TABLE plans (id int);\n", "rollback/013_plans.sql": "DROP TABLE plans;\n"}
UNDO_012 = "rollback/012_stripe_events.sql"


NEVER_SEEN: dict[str, tuple[str, dict[str, str | None]]] = {
    "a missing rollback script": ("scriptless", {UNDO_012: None}),
    "an applied migration without files": ("fileless", {UNDO_012: None, "012_stripe_events.sql": None}),
}
"""Targets whose folder has lacked something from the beginning."""


@pytest.fixture(scope="module")
def world(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """One bench with a target for each thing that can be wrong with a target."""
    folder = tmp_path_factory.mktemp("world")
    stand_ins.with_password(server, "locked_out", "the-right-one-1")
    with ExitStack() as stack:
        app, bare, odd = (
            next(stack.enter_context(closing(fresh(server, t)))) for t in (template, "template0", template)
        )
        with psycopg.connect(odd) as conn:
            conn.execute("ALTER TABLE schema_migrations RENAME version TO tag")
        name = str(conninfo_to_dict(app)["dbname"])
        pooled = f"postgresql://postgres@{stack.enter_context(stand_ins.pooler(server))}/{name}"
        urls = {
            "down": "postgresql://postgres@/app?host=/nowhere",
            "password": server.url(name, "locked_out").replace("locked_out@", f"locked_out:{PASSWORD}@"),
            "standby": f"postgresql://postgres@/{name}?host={stack.enter_context(stand_ins.standby(server))}",
            "pooled": f"{pooled}?sslmode=disable&gssencmode=disable",
            "bare": bare,
            "odd": odd,
        }
        migrations = copied(folder, dict(PENDING))
        more = "".join(target(name, url, server.url(), migrations) for name, url in urls.items())
        more += target("alone", app, "postgresql://postgres@/x?host=/nowhere", migrations)
        more += target("chens", app, server.url(), migrations) + 'requesters = ["U0CHEN"]\n'
        more += target("gone", app, server.url(), migrations, "#gone")
        more += target("away", app, server.url(), migrations, "#away")
        for name, lost in NEVER_SEEN.values():  # what the bot has seen applied, it could roll back from the audit trail
            more += target(name, app, server.url(), copied(folder / name, dict(lost)))
        channels = [*sample_channels(), Channel("C0AWAY", "away", members={ANA, BOB})]
        bench = Bench(
            folder / "bench", server, app, settings_of(more), migrations=migrations,
            workspace=Workspace(channels=channels), env=dict(QUICK), processes=forks,
        )  # fmt: skip
        play = stack.enter_context(playing(bench))
        yield play
        everywhere = [
            bench.log.read_text(),
            str(play.slack.calls),
            bytes(play.bench.ledger.path.read_bytes()).decode("latin-1"),
        ]
        assert not [text for text in everywhere if PASSWORD in text]


@contextmanager
def closing(made: Iterator[str]) -> Iterator[Iterator[str]]:
    """Run a generator to its end afterwards."""
    yield made
    next(made, None)


def target(name: str, url: str, scratch: str, migrations: Path, channel: str = "#incidents") -> str:
    return (
        f'[targets.{name}]\ndatabase_url = "{url}"\nscratch_url = "{scratch}"\nmigrations = "{migrations}"\n'
        f'channel = "{channel}"\napprovers = ["@db-oncall"]\n'
    )


@contextmanager
def changed(play: Play, files: dict[str, str | None]) -> Iterator[None]:
    """Other files in the migrations folder for a moment; None: missing."""
    folder = play.bench.migrations
    before = {name: (folder / name).read_text() for name in files}
    for name, text in files.items():
        (folder / name).unlink() if text is None else (folder / name).write_text(text)
    try:
        yield
    finally:
        for name, text in before.items():
            (folder / name).write_text(text)


TYPED = {
    "an unknown migration": "011_subscribtions",
    "an ambiguous beginning": "01",
    "a migration that is not applied": "013_plans",
    "nothing after the newest": "to 012_stripe_events",
    "an unknown target": "latest --on prod",
    "an unknown flag": "latest --force",
    "an unknown verb": "histroy",
    "an unknown run": "show {unknown}",
    "a reason that is too short": "latest --reason no",
    "a database that is down": "latest --on down",
    "a wrong password": "latest --on password",
    "a standby": "latest --on standby",
    "a pooler": "latest --on pooled",
    "no history table": "latest --on bare",
    "a history table of an unknown shape": "latest --on odd",
    "a scratch server that is down": "latest --on alone",
    "a target that others may ask for": "latest --on chens",
    "a channel that does not exist": "latest --on gone",
}


def unlike(play: Play) -> str:
    """A run id that is near none of this ledger, which would be suggested: ids are random."""
    endings = {run.id[-2:] for run in play.ledger.runs("1", limit=10_000)}
    return next(f"RB-22{two}" for one in SYMBOLS for other in SYMBOLS if (two := one + other) not in endings)


@pytest.mark.parametrize("case", TYPED)
def test_what_cannot_be_done_is_refused_in_words(world: Play, case: str) -> None:
    kept(case, refused(world, TYPED[case].format(unknown=unlike(world))))
    nothing_half_done(world)


PLACES = {
    "a guest": (GUEST, CHANNEL, "latest"),
    "another channel": (ANA, "C0RANDOM", "latest"),
    "a shared channel": (ANA, "C0SHARED", "latest"),
    "a channel without the bot": (ANA, "C0AWAY", "latest --on away"),
}


@pytest.mark.parametrize("case", PLACES)
def test_the_wrong_person_or_place_is_refused_in_words(world: Play, case: str) -> None:
    user, channel, text = PLACES[case]
    kept(case, refused(world, text, user, channel))
    nothing_half_done(world)


FILES: dict[str, dict[str, str | None]] = {
    "an empty rollback script": {UNDO_012: "-- nothing here\n"},
    "a script with a psql command": {UNDO_012: "\\set ON_ERROR_STOP on\n" + SCRIPT_012},
    "a script with transaction control": {UNDO_012: "BEGIN;\n" + SCRIPT_012 + "COMMIT;\n"},
    "a script that needs to be outside a transaction": {UNDO_012: "REINDEX INDEX CONCURRENTLY stripe_events_pkey;\n"},
    "a script with a syntax error": {UNDO_012: "DROP TABEL stripe_events;\n"},
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_used_are_refused_in_words(world: Play, case: str) -> None:
    with changed(world, FILES[case]):
        kept(case, refused(world, "latest"))
    nothing_half_done(world)


@pytest.mark.parametrize("case", NEVER_SEEN)
def test_files_that_were_never_there_are_refused_in_words(world: Play, case: str) -> None:
    kept(case, refused(world, f"latest --on {NEVER_SEEN[case][0]}"))
    nothing_half_done(world)


def test_each_wrong_click_is_answered_and_only_the_right_one_counts(world: Play) -> None:
    play, before = world, {m.ts for m in world.everything()}
    run = play.proven(play.asks("latest"))
    play.clicks(run, "rb.review", ANA)
    play.hears("E-SELF")
    play.clicks(run, "rb.deny", DEE)
    play.hears("E-NOT-APPROVER", DEE)
    play.clicks(run, "rb.withdraw", BOB)
    play.hears("E-NOT-YOURS", BOB)
    refused(play, "011_subscriptions", BOB)
    view = play.reviews(run, BOB)
    assert play.slack.submit(BOB, {"confirm": "12"}).errors == {
        "confirm": "Type 012 exactly. Nothing was approved. (E-TYPED)"
    }
    for user in (BOB, CHEN):
        play.clicks(run, "rb.deny", user)
    for user in (BOB, CHEN):
        play.slack.submit(user, {"reason": f"not now, says {user}"})
    late = play.slack.open_view(CHEN)
    assert late and late.callback_id == "rb.refused" and "E-CLOSED" in play.slack.view_text(late), view.id
    assert play.until(run.id, State.DENIED).ending.actor.id == BOB  # type: ignore[union-attr]
    play.told()
    card = next(m for m in play.everything() if m.ts not in before and "rb.timeline" in str(m.blocks))
    raw_click(play, card, "rb.review", f"{run.id}.1", BOB)
    play.hears("E-CLOSED", BOB)
    other = play.asks("latest")
    raw_click(play, card, "rb.review", f"{other.id}.1", BOB)
    play.hears("E-STALE", BOB)
    assert play.ledger.run(other.id).state is State.WAITING
    play.proven(other)
    play.clicks(other, "rb.withdraw", ANA)
    play.until(other.id, State.WITHDRAWN)
    nothing_half_done(play)
    new = [m for m in play.everything() if m.ts not in before and m.ephemeral_for and "E-" in str(m.blocks)]
    kept("clicks", stable("\n".join(f"{m.ephemeral_for}: {m.text}" for m in new)))
