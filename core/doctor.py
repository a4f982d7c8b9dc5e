"""Is everything in place? One finding per thing, each fault with its remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from core import layouts, pgtools, postgres, scratch_server, script
from core.errors import Problem, Refused
from core.ledger import Ledger
from core.redact import pg_error
from core.second_factor import ENROLL, SecondFactor
from core.secrets_file import SecretsFile
from core.services import services_for
from core.settings import Settings, Target
from core.steps.verify import ask


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, what was seen, and the remedy where it is not."""

    what: str
    ok: bool
    text: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; never raises for what it finds."""
    found = [
        *look("audit trail", lambda: ledger(settings)),
        *look("backup folder", lambda: backup_folder(settings.backup_dir)),
    ]
    if SecretsFile(settings.ledger).path.exists() or any(t.approval_totp for t in settings.targets.values()):
        found += look("second factor", lambda: authenticators(settings))
    for target in settings.targets.values():
        found += look(f"{target.name}: database", lambda t=target: database(t))  # type: ignore[misc]
        found += look(f"{target.name}: migrations", lambda t=target: scripts(t))  # type: ignore[misc]
        found += look(f"{target.name}: scratch server", lambda t=target: scratch(t, settings))  # type: ignore[misc]
        found += look(f"{target.name}: client programs", lambda t=target: tools(t, settings))  # type: ignore[misc]
        found += look(f"{target.name}: application", lambda t=target: application(t))  # type: ignore[misc]
        found += look(f"{target.name}: services", lambda t=target: services(t))  # type: ignore[misc]
        found += look(f"{target.name}: people", lambda t=target: people(t))  # type: ignore[misc]
    return found


def look(what: str, check: Callable[[], str]) -> Iterator[Finding]:
    """Run one check; its sentence, or its problem."""
    try:
        yield Finding(what, True, check())
    except Problem as problem:
        yield Finding(what, False, problem.message, problem.hint)
    except psycopg.Error as error:
        yield Finding(what, False, pg_error(error))


def ledger(settings: Settings) -> str:
    """The audit trail can be written and its chain is unbroken."""
    trail = Ledger(settings.ledger)
    try:
        verdict = trail.verify()
        bot = "a bot is running" if trail.held("bot") else "no bot is running"
    finally:
        trail.close()
    if not verdict.unbroken:
        raise Refused("E-LEDGER", f"The chain is broken: {verdict.faults[0]}.", "Keep the file as evidence.")
    return f"{verdict.events} events, chain unbroken, {bot}"


def authenticators(settings: Settings) -> str:
    """The file of secrets is whole and nobody else's to read; where codes are needed, somebody has an authenticator."""
    trail = Ledger(settings.ledger)
    try:
        factor = SecondFactor(trail, settings)
        secrets = factor.file.read()
        count = sum(one.confirmed and one.fingerprint in secrets for one in factor.everybody())
    finally:
        trail.close()
    wanted = [target.name for target in settings.targets.values() if target.approval_totp]
    if wanted and not count:
        raise Refused(
            "E-TOTP", f"Nobody has an authenticator that counts, but {', '.join(wanted)} needs codes.", ENROLL
        )
    return f"authenticators that count: {count}"


def backup_folder(folder: Path) -> str:
    """It can be written; how much room it has."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Refused(
            "E-BACKUP", f"It cannot be made: {os.strerror(error.errno or 0).lower()}.", "Check `backup_dir`."
        ) from None
    if not os.access(folder, os.W_OK):
        raise Refused("E-BACKUP", "It cannot be written.", "Check `backup_dir` and its owner.")
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free"


def database(target: Target) -> str:
    """Reachable directly, the primary, with the right to leave the marker."""
    with postgres.target(target.database_url.get_secret_value(), "doctor", target.name) as conn:
        who = postgres.identity(conn)
        postgres.may_mark(conn, target.name)
    return f"`{who['name']}`, PostgreSQL {who['server_version']}, the primary, reached directly"


def scripts(target: Target) -> str:
    """The history table is known; every applied migration has a rollback script that may run."""
    layout = layouts.of(target)
    with postgres.target(target.database_url.get_secret_value(), "doctor", target.name) as conn:
        history = layout.history(conn)
    applied = layouts.forward_of(layout, [row.version for row in history.applied])
    if faulty := next((m for m in applied if m.refused), None):
        raise Refused("E-SCRIPT", f"{faulty.refused}.", f"`{faulty.name}` could not be undone.")
    lacking = [m.name for m in applied if m.rollback is None and not m.irreversible]
    if lacking:
        names = ", ".join(f"`{name}`" for name in lacking[:5])
        raise Refused(
            "E-NO-SCRIPT", f"{len(lacking)} applied migrations have no rollback script: {names}.", "Write them."
        )
    for migration in applied:
        if migration.rollback:
            script.read(migration.rollback.shown, migration.rollback.data, history_table=history.name)
    newest, declared = applied[-1].name if applied else "nothing", sum(bool(m.irreversible) for m in applied)
    but = f" but {declared} that {'is' if declared == 1 else 'are'} declared irreversible" if declared else ""
    return f"{len(applied)} applied, each has a rollback script{but}; newest is `{newest}`"


def scratch(target: Target, settings: Settings) -> str:
    """There is one of the target's major, with the target's extensions, and a database can be made on it."""
    with postgres.target(target.database_url.get_secret_value(), "doctor", target.name) as conn:
        who = postgres.identity(conn)
    fit = scratch_server.fit(target, settings, who)
    with postgres.scratch(fit.scratch.url, "RB-PLAN", "doctor") as url, postgres.connect(url, "doctor") as conn:
        version = postgres.execute(conn, "SELECT current_setting('server_version')")[0][0].split()[0]
    origin = "" if target.scratch_url else f", a throw-away one ({fit.scratch.source})"
    return "; ".join([f"PostgreSQL {version}{origin}, a scratch database was made and removed", *fit.notes])


def tools(target: Target, settings: Settings) -> str:
    """pg_dump and pg_restore that can read the server."""
    with postgres.target(target.database_url.get_secret_value(), "doctor", target.name) as conn:
        major = int(postgres.identity(conn)["server_version"].split(".")[0])
    found = pgtools.find(major, settings.pg_bin)
    return f"pg_dump and pg_restore {found.major}"


def application(target: Target) -> str:
    """Its health URL answers."""
    health = ask(target)
    if health is None:
        return "no health URL is set: a rollback is verified by history and schema only"
    if health["ok"] < health["tries"]:
        raise Refused(
            "E-CONFIG",
            f"Its health URL answers {health['status'] or 'nothing'}.",
            "Check `health_url`, or the application.",
        )
    return f"{health['status']} in {health['ms']} ms"


def services(target: Target) -> str:
    """They are known and can be looked at. Nothing is stopped for that."""
    kind = target.services.kind
    if kind == "none":
        return "none are set: nothing is stopped while a backup is put back"
    found = services_for(target).look()
    if kind == "command" and not target.services.status:
        return "they are taken for running: `services.status` is not set"
    counted = [f"`{name}` {f'runs ({count})' if count else 'is stopped'}" for name, count in found.items()]
    return f"{kind}: {', '.join(counted)}"


def people(target: Target) -> str:
    """Who decides."""
    if not target.approvals:
        return "no approval needed: throw-away target"
    some = "1 approval" if target.approvals == 1 else f"{target.approvals} approvals"
    return f"{some} by {', '.join(target.approvers)}, in {target.channel or 'the channel of the request'}"
