"""Is everything in place? One finding per thing, each fault with its remedy: the exact next step."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from core import board, config, drills, layouts, pgtools, postgres, scratch_server, script
from core.backups.programs import old
from core.errors import Problem, Refused
from core.first_settings import TO_FILL_IN
from core.ledger import Ledger
from core.quantities import plural
from core.readiness_words import BAD, listed, summary
from core.redact import pg_error
from core.second_factor import ENROLL, SecondFactor
from core.secrets_file import SecretsFile
from core.services import services_for
from core.settings import Settings, Target
from core.steps.verify import ask

CONNECT = "Start the server, or correct `database_url`: `psql` with that address must connect from this machine."
AGAIN = "Look into the server's log, then run `rollback doctor` again."


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, what was seen, and the remedy where it is not.

    `what` begins with `TARGET: ` where it is about a target.
    """

    what: str
    ok: bool
    text: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; never raises for what it finds. What needs a database that is away is not tried again."""
    found = [
        *look("audit trail", lambda: ledger(settings)),
        *look("backup folder", lambda: backup_folder(settings.backup_dir)),
        *look("Slack", lambda: slack(settings)),
    ]
    if SecretsFile(settings.ledger).path.exists() or any(t.approval_totp for t in settings.targets.values()):
        found += look("second factor", lambda: authenticators(settings))
    for target in settings.targets.values():
        found += look(f"{target.name}: database", lambda t=target: database(t))  # type: ignore[misc]
        if found[-1].ok:
            found += look(f"{target.name}: migrations", lambda t=target: scripts(t))  # type: ignore[misc]
            found += look(f"{target.name}: scratch server", lambda t=target: scratch(t, settings))  # type: ignore[misc]
            found += look(f"{target.name}: client programs", lambda t=target: tools(t, settings))  # type: ignore[misc]
        found += look(f"{target.name}: application", lambda t=target: application(t))  # type: ignore[misc]
        found += look(f"{target.name}: services", lambda t=target: services(t))  # type: ignore[misc]
        if target.drill:
            found += look(f"{target.name}: drill", lambda t=target: drill(t, settings))  # type: ignore[misc]
        if target.readiness or target.backup.alarm:
            found += look(f"{target.name}: readiness", lambda t=target: ready(t, settings))  # type: ignore[misc]
        found += look(f"{target.name}: people", lambda t=target: people(t))  # type: ignore[misc]
    return found


def look(what: str, check: Callable[[], str]) -> Iterator[Finding]:
    """Run one check; its sentence, or its problem."""
    try:
        yield Finding(what, True, check())
    except Problem as problem:
        circular = problem.code == "E-DB" and "password" not in problem.hint
        remedy = CONNECT if circular else problem.hint.removeprefix("Nothing was started. ")
        yield Finding(what, False, problem.message, remedy or AGAIN)
    except psycopg.Error as error:
        yield Finding(what, False, f"{pg_error(error)}.", AGAIN)


def faulty(error: config.ConfigError, env: Mapping[str, str]) -> list[Finding]:
    """What is wrong with the settings, where nothing else can be looked at."""
    found = [Finding("settings", False, f"{fault}.", correction(fault)) for fault in error.faults]
    if config.find(env) is None:
        none = "There is no rollback.toml here, and `ROLLBACK_CONFIG` names none."
        found.insert(0, Finding("settings", False, none, "`rollback init` writes a first one."))
    return found


def correction(fault: config.Fault) -> str:
    """The next step for one fault of the settings."""
    lacking = re.search(r"needs the variable `(\w+)`", fault.sentence)
    if lacking:
        return f"`export {lacking[1]}=…` where this runs, or `{lacking[1]}_FILE` with the name of a file that holds it."
    if fault.sentence.startswith("unknown variable"):
        return f"`unset {fault.key}`, or correct its name."
    if fault.key.endswith("database_url") and "is missing" in fault.sentence:
        return "`export DATABASE_URL=postgresql://…` where this runs, or write `database_url` into the file."
    place = f"{fault.where}, line {fault.line}" if fault.line else fault.where
    return f"Correct it in {place}; docs/settings.md says what each key may be."


def ledger(settings: Settings) -> str:
    """The audit trail can be written and its chain is unbroken."""
    trail = Ledger(settings.ledger)
    try:
        verdict = trail.verify()
        bot = "a bot is running" if trail.held("bot") else "no bot is running"
    finally:
        trail.close()
    if not verdict.unbroken:
        first = f"The chain is broken: {verdict.faults[0]}."
        raise Refused("E-LEDGER", first, "Keep the file as evidence; `rollback audit verify` lists every fault.")
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


def drill(target: Target, settings: Settings) -> str:
    """Is the way back practised? Raises Refused(E-EXPIRED) where a drill is overdue, E-LEDGER."""
    trail = Ledger(settings.ledger)
    try:
        now, at = drills.standing(trail, target.name), trail.clock()
    finally:
        trail.close()
    last = f"last drill: {drills.told_last(now, at)}"
    if now.due and now.overdue(at):
        hint = "Start it (`rollback drill start`), or skip it with a reason (`rollback drill skip`)."
        raise Refused("E-EXPIRED", f"The drill of {drills.moment_of(now.due):%Y-%m-%d} is overdue; {last}.", hint)
    return last


def ready(target: Target, settings: Settings) -> str:
    """Could the newest migrations be undone, as it was last looked at? Raises Problem: E-NO-BACKUP, E-BACKUP, E-TRIAL-RUN, E-LEDGER."""
    trail = Ledger(settings.ledger)
    try:
        now, aged = board.board(trail, target.name), board.newest_proven(trail, settings, target)
    finally:
        trail.close()
    backup = f"the newest proven backup is {old(aged.age)} old" if aged else "there is no proven backup"
    if target.backup.alarm and (aged is None or aged.age > target.backup.alarm):
        raise Refused("E-NO-BACKUP", f"{backup[0].upper()}{backup[1:]}.", "Take one: `rollback backup`.")
    found = now.found if now else {}
    bad = [one["name"] for one in found.get("migrations", ()) if one["state"] in BAD]
    if bad:
        hint = "`rollback readiness` says why; mend the rollback script."
        raise Refused("E-TRIAL-RUN", f"No working way back: {listed(bad)}.", hint)
    return f"{summary(found) if found else 'nobody has looked yet'}; {backup}"


def backup_folder(folder: Path) -> str:
    """It can be written; how much room it has."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Refused(
            "E-BACKUP",
            f"It cannot be made: {os.strerror(error.errno or 0).lower()}.",
            "Make it for the account that the bot runs as, with mode 0700, or set `backup_dir`.",
        ) from None
    if not os.access(folder, os.W_OK):
        raise Refused(
            "E-BACKUP", "It cannot be written.", "`chown` it to the account that the bot runs as, or set `backup_dir`."
        )
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free"


def slack(settings: Settings) -> str:
    """The tokens that the bot needs are set, where people must agree; a bot that runs has them."""
    trail = Ledger(settings.ledger)
    try:
        running = trail.held("bot")
    finally:
        trail.close()
    if running:
        return "a bot is running, so it has its tokens"
    if not any(target.approvals for target in settings.targets.values()):
        return "not needed: no target asks for an approval"
    second = "signing_secret" if settings.slack.mode == "http" else "app_token"
    lacking = [name for name in ("bot_token", second) if not getattr(settings.slack, name)]
    if lacking:
        names = " and ".join(f"`SLACK_{name.upper()}`" for name in lacking)
        raise Refused(
            "E-SLACK",
            f"No bot is running, and without {names} none can start.",
            f"Set {names} where the bot runs (docs/install.md, 1), then start `rollback-bot`.",
        )
    return "the tokens are set; no bot is running: `rollback-bot` starts it"


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
        raise Refused("E-SCRIPT", f"{faulty.refused}.", f"Mend it: until then `{faulty.name}` could not be undone.")
    lacking = [m.name for m in applied if m.rollback is None and not m.irreversible]
    if lacking:
        names = ", ".join(f"`{name}`" for name in lacking[:5])
        raise Refused(
            "E-NO-SCRIPT",
            f"{plural(len(lacking), 'applied migration')} without a rollback script: {names}.",
            "Write each (docs/writing-rollback-scripts.md); `rollback check` tries them.",
        )
    for migration in applied:
        if migration.rollback:
            script.read(migration.rollback.shown, migration.rollback.data, history_table=history.name)
    newest, declared = applied[-1].name if applied else "nothing", sum(bool(m.irreversible) for m in applied)
    but = f" but {declared} that {'is' if declared == 1 else 'are'} declared irreversible" if declared else ""
    read = f"; read from commit `{layout.commit[:12]}`" if layout.commit else ""
    return f"{len(applied)} applied, each has a rollback script{but}; newest is `{newest}`{read}"


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
            "`curl -i` with the address of `health_url` shows its answer; correct `health_url`, or mend the application.",
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
    if TO_FILL_IN in target.approvers or target.channel == f"#{TO_FILL_IN[1:]}":
        raise Refused(
            "E-CONFIG",
            "`approvers` or `channel` still hold what `rollback init` has put there.",
            f"Write who may approve, and in which channel, in place of `{TO_FILL_IN[1:]}` in rollback.toml.",
        )
    if not target.approvals:
        return "no approval needed: throw-away target"
    some = "1 approval" if target.approvals == 1 else f"{target.approvals} approvals"
    return f"{some} by {', '.join(target.approvers)}, in {target.channel or 'the channel of the request'}"
