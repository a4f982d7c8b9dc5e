"""`rollback init`: a first `rollback.toml` from what is found around, with what is still to be filled in marked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import config, values
from core.config_rules import LIBPQ
from core.errors import Refused
from core.lines import OK, STRONG, WARNING, Line, Mark, line, padded
from core.printing import plain
from core.quantities import plural
from core.surroundings import Around, Migrations, look
from core.watching import asked

if TYPE_CHECKING:
    from core.grammar import Command
    from core.shell import Shell

TO_FILL_IN = "@fill-in"
"""Stands for people and channel that nobody has named yet; nobody is called so, and `rollback doctor` points at it."""
NEXT = (
    ("rollback doctor", "names what is still missing, each with the next step"),
    ("rollback check", "tries every migration up, down and up again on a scratch server"),
    ("rollback plan latest", "shows what a rollback would do; nothing is started"),
)


@dataclass(frozen=True)
class Said:
    """What a person has said at a terminal, or what stands for it."""

    migrations: Migrations | None
    channel: str = f"#{TO_FILL_IN[1:]}"
    approvers: tuple[str, ...] = (TO_FILL_IN,)
    user: str = ""


def init(shell: Shell, command: Command) -> int:
    """Write the file, and say what was found and what is missing. Raises Refused(E-CONFIG, E-FILE-MISSING)."""
    named = os.environ.get("ROLLBACK_CONFIG")
    file = Path(named).expanduser() if named else Path("rollback.toml")
    if file.exists() or file.is_symlink():
        raise already(file)
    around = look(Path.cwd(), os.environ, Path(command.text) if command.text else None)
    said = ask(around) if sys.stdin.isatty() and sys.stderr.isatty() and not command.json else of_itself(around)
    write(file, "".join(f"{row}\n" for row in text(around, said, file.absolute().parent)))
    lacking = missing(around, said, file)
    data = {
        "file": str(file),
        "found": [{"what": what, "text": told, "ok": ok} for what, told, ok in found(around, said)],
        "to_fill_in": [{"what": what, "how": how} for what, how in lacking],
        "next": [typed for typed, _ in NEXT],
    }
    return shell.show(report(file, around, said, lacking), data)


def already(file: Path) -> Refused:
    """Nothing is ever overwritten."""
    return Refused(
        "E-CONFIG",
        f"`{file.name}` is there already, and I never overwrite it.",
        f"`rollback doctor` says what it lacks. To begin anew, move it away first: mv {file.name} {file.name}.old",
    )


def write(file: Path, content: str) -> None:
    """A new file, with the rights that the account gives new files: there is no secret in it. Raises Refused(E-CONFIG)."""
    made = False
    try:
        data = content.encode("utf-8", "surrogateescape")  # the names of folders are what they are
        with file.open("xb") as out:
            made = True
            out.write(data)
    except FileExistsError:
        raise already(file) from None
    except OSError as error:
        if made:
            file.unlink(missing_ok=True)
        why = os.strerror(error.errno or 0).lower()
        raise Refused(
            "E-CONFIG",
            f"I cannot write `{file.name}`: {why}. Nothing was written.",
            "Go to a folder that is yours, or name another file: ROLLBACK_CONFIG=FILE rollback init",
        ) from None


# -- asking ------------------------------------------------------------------------------------------------


def of_itself(around: Around) -> Said:
    """Where nobody can be asked: the likeliest folder."""
    return Said(around.migrations[0] if around.migrations else None)


def ask(around: Around) -> Said:
    """The few things that are nowhere to be found; an empty answer leaves them for later."""
    chosen = around.migrations[0] if around.migrations else None
    if len(around.migrations) > 1:
        folders = [
            f"  {n}  {plain(shown(one.folder))} ({' or '.join(one.layouts)})"
            for n, one in enumerate(around.migrations, 1)
        ]
        number = answer(
            "\n".join(["Which folder holds the migrations?", *folders, "Number [1]: "]), numbered(len(folders))
        )
        chosen = around.migrations[(number or 1) - 1]
    channel = answer("Slack channel for rollbacks, such as #incidents [later]: ", values.CHANNEL.read)
    who = answer("Who may approve: Slack user ids or groups, such as @db-oncall, U0BOB [later]: ", people)
    user = answer("Your own Slack user id, to ask from this shell [later]: ", person)
    own = Said(chosen)
    return Said(chosen, channel or own.channel, who or own.approvers, user or "")


def answer(question: str, read: Callable[[Any], Any]) -> Any:
    """What was typed, once it can be read; None for an empty line."""
    while typed := asked(question):
        try:
            return read(typed)
        except ValueError as error:
            question = f"It {error}: "
    return None


def numbered(most: int) -> Callable[[str], int]:
    """Reads a number from 1."""

    def read(typed: str) -> int:
        if typed.isascii() and typed.isdigit() and 1 <= int(typed) <= most:
            return int(typed)
        raise ValueError(f"must be a number from 1 to {most}")

    return read


def people(typed: str) -> tuple[str, ...]:
    """Reads a list of people."""
    read: tuple[str, ...] = tuple(values.WHO.read(values.WHO.from_text(typed)))
    return read


def person(typed: str) -> str:
    """Reads one user id."""
    read: Mapping[str, str] = values.PEOPLE.read({"me": typed})
    return read["me"]


# -- the file ----------------------------------------------------------------------------------------------


def text(around: Around, said: Said, place: Path) -> Iterator[str]:
    """The lines of the file. `place`: its folder, where relative paths begin."""
    yield "# Settings of Rollback Bot, written by `rollback init`. Every key: docs/settings.md."
    yield "# $NAME stands for a variable: no secret stands in this file, so that it can be committed."
    yield "# What could not be found is marked by FILL IN; `rollback doctor` names what is still missing."
    yield ""
    yield 'default_target = "production"'
    yield '# ledger     = "/var/lib/rollback-bot/ledger.db"   # the audit trail: a local disk, and back it up'
    yield '# backup_dir = "/var/lib/rollback-bot/backups"     # room for full dumps'
    if around.tools:
        majors = ", ".join(map(str, around.tools))
        yield f'# pg_bin     = "/usr/lib/postgresql/NN/bin"        # client programs found without it: {majors}'
    else:
        yield '# pg_bin     = "/usr/lib/postgresql/NN/bin"        # FILL IN: no pg_dump was found; install the server\'s major'
    yield ""
    yield "[targets.production]"
    yield from database(around.variables)
    yield from migrations(said.migrations, place)
    known = "API_BASE_URL" in around.variables
    yield entry("health_url", '"$API_BASE_URL/health"', "asked after a rollback", known)
    later = f"#{TO_FILL_IN[1:]}"
    channel = (
        "where rollbacks are asked for and posted"
        if said.channel != later
        else "FILL IN: the Slack channel for rollbacks"
    )
    yield entry("channel", quoted(said.channel), channel)
    yield entry("approvals", "1", "people besides the requester; 0 only for throw-away targets")
    who = (
        "FILL IN: Slack user ids, or a group's handle"
        if TO_FILL_IN in said.approvers
        else "Slack user ids, or a group's handle"
    )
    yield entry("approvers", listed(said.approvers), who)
    yield entry("requesters", '["@developers"]', "without it everyone in the channel may ask", False)
    yield entry("reason", '"required"', "nobody is asked before a reason stands there", False)
    yield entry("keep", '"30 days"', "saved rows and backups", False)
    yield entry("hold", '"refuse"', "a deploy that applies again what was rolled back fails", False)
    yield from stopped(around)
    yield ""
    yield "[slack]"
    yield "# The bot takes its tokens from SLACK_BOT_TOKEN and SLACK_APP_TOKEN; docs/install.md, 1."
    yield ""
    yield "[people]"
    yield "# Accounts of this machine that may ask from the shell, and who they are in Slack."
    from core.shell import account_name

    account = account_name()
    yield f"{quoted(account)} = {quoted(said.user)}" if said.user else f'# {quoted(account)} = "U0ANA"   # FILL IN'


def database(variables: frozenset[str]) -> Iterator[str]:
    """The addresses, by the names of their variables."""
    if "DATABASE_URL" not in variables and variables & {*LIBPQ}:
        yield entry("database_url", '"$DATABASE_URL"', "not needed: libpq's own variables (PGHOST, ...) are set", False)
    else:
        yield entry("database_url", '"$DATABASE_URL"', "the primary itself, no pooler")
    name = next((one for one in ("TEST_DATABASE_URL", "TEST_DB") if one in variables), "")
    other = "a server for scratch databases; without it a throw-away one, where PostgreSQL's programs are installed"
    yield entry("scratch_url", f'"${name or "TEST_DATABASE_URL"}"', other, name == "TEST_DATABASE_URL")


def migrations(chosen: Migrations | None, place: Path) -> Iterator[str]:
    """Folder and layout."""
    if chosen is None:
        yield entry("migrations", '"db/migrations"', "FILL IN: the folder was not found")
        yield entry("layout", '"paired"', "FILL IN: or golang-migrate, diesel, goose, dbmate, sqlx")
        return
    folder = chosen.folder.absolute()
    inside = folder.is_relative_to(place)
    yield entry(
        "migrations", quoted(str(folder.relative_to(place) if inside else folder)), plural(chosen.count, "migration")
    )
    doubt = f"FILL IN: {' or '.join(chosen.layouts)} would fit" if len(chosen.layouts) > 1 else "by its files"
    yield entry("layout", quoted(chosen.layouts[0]), doubt)


def stopped(around: Around) -> Iterator[str]:
    """The services, of a compose file where there is one."""
    if around.services and around.compose:
        names = f'{{ kind = "compose", names = {listed(around.services)} }}'
        yield f"# A restore stops these, of {plain(around.compose.name)}, while it swaps the databases. Keep those that write to it."
        yield entry("services", names, "")
    else:
        yield entry(
            "services", '{ kind = "compose", names = ["api"] }', "what a restore stops: docs/services.md", False
        )


def entry(key: str, value: str, why: str, active: bool = True) -> str:
    """`key = value  # why`; a comment as a whole where it is only offered."""
    return (
        f"{'' if active else '# '}{f'{key:<12} = {value}':<{42 if active else 40}}{f' # {why}' if why else ''}".rstrip()
    )


def quoted(text: str) -> str:
    """A text as TOML has it, with nothing in it that stands for a variable."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False).replace("\x7f", "\\u007f")


def listed(texts: tuple[str, ...]) -> str:
    """A list of texts as TOML has it."""
    return f"[{', '.join(map(quoted, texts))}]"


# -- what is said ------------------------------------------------------------------------------------------


def found(around: Around, said: Said) -> Iterator[tuple[str, str, bool]]:
    """What, in words, and whether it is there."""
    chosen = said.migrations
    if chosen:
        others = (
            f"; {plural(len(around.migrations) - 1, 'other folder')} would fit too"
            if len(around.migrations) > 1
            else ""
        )
        yield (
            "migrations",
            f"{shown(chosen.folder)}, {plural(chosen.count, 'migration')}, {' or '.join(chosen.layouts)}{others}",
            True,
        )
    else:
        yield "migrations", "no folder below this one holds any that I can read", False
    for name in ("DATABASE_URL", "TEST_DATABASE_URL", "API_BASE_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"):
        told = "set; the file only names it" if name in around.variables else "not set"
        told += ", but `.env` here would set it" if name not in around.variables and name in around.dotenv else ""
        yield name, told, name in around.variables
    where = around.compose.name if around.compose else "none here"
    yield "compose file", f"{where}{': ' if around.services else ''}{', '.join(around.services)}", bool(around.services)
    repository = "no secret is in the file, so that it can be committed" if around.repository else "this is none"
    yield "git repository", repository, bool(around.repository)
    majors = ", ".join(map(str, around.tools))
    yield "client programs", f"PostgreSQL {majors}" if majors else "no pg_dump here", bool(majors)


def missing(around: Around, said: Said, file: Path) -> list[tuple[str, str]]:
    """What is to be filled in, and how; the file itself says where it does not load yet."""
    from core.doctor import correction

    lacking = []
    for number, row in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        before, marked, why = row.partition("# FILL IN")
        if marked:
            key = before.strip("# ").split(" ")[0].strip('"')
            lacking.append((f"line {number}", f"{key}{why or ': who you are in Slack'}"))
    try:
        config.load(file)
    except config.ConfigError as error:
        lacking += [(fault.key.rpartition(".")[2], correction(fault)) for fault in error.faults]
    if around.dotenv - around.variables:
        lacking.append((".env", "load it into this shell first: set -a; . ./.env; set +a"))
    return lacking


def report(file: Path, around: Around, said: Said, lacking: list[tuple[str, str]]) -> list[Line]:
    """What was found, what is to be filled in, and what to type next."""
    lines = [line((f"Wrote {plain(file.name)}", OK), ". No database was asked, and no secret is in it.")]
    lines += [Line(), line(("Found", STRONG))]
    for what, told, ok in found(around, said):
        word: Mark = ("ok", OK) if ok else ("not", WARNING)
        lines.append(line("  ", word, f"{'':<{5 - len(word[0])}}{padded(what, 19)}{plain(told)}"))
    if lacking:
        lines += [Line(), line(("To fill in", STRONG))]
        lines += [Line(f"  {padded(what, 22)}  {plain(how)}") for what, how in lacking]
    lines += [Line(), line(("Next", STRONG))]
    return lines + [Line(f"  {padded(typed, 22)}  {what}") for typed, what in NEXT]


def shown(folder: Path) -> str:
    """A folder as it is named from here."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) and folder != here else str(folder)
