"""Where proofs run: the server that `scratch_url` names, else a throw-away PostgreSQL of the target's own major.

A throw-away server is started when the first proof needs it, shared by everything in this process, and ends with the
process, however that ends (`core.throwaway`). It holds copies of the target, rows too: its data lie below the state
folder (for root below the temporary folder, since PostgreSQL does not run as root), readable by its account alone, and
it listens on a socket in a folder of mode 0700 only. Scripts run there as its superuser, with the rights of its
operating system account.

A proof on another major proves little: exactly the target's is asked for, of `scratch_url` as well.
"""

from __future__ import annotations

import atexit
import os
import re
import socket
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core import pgtools, postgres, scratch_extensions, throwaway
from core.errors import Refused
from core.model import Json
from core.scratch_extensions import Lacking
from core.settings import Settings, Target, state_dir
from core.throwaway import Server

PLACES = (
    *pgtools.PLACES,
    "/usr/local/opt/postgresql@{major}/bin",
    "/Applications/Postgres.app/Contents/Versions/{major}/bin",
    "/usr/local/pgsql/bin",
)
"""Where distributions, Homebrew, Postgres.app and the sources themselves put the server's programs."""

SETTINGS = {"max_wal_size": "128MB", "min_wal_size": "32MB"}
"""Of a throw-away server: it lives long, and a restored backup must not leave a gigabyte of log behind."""

WHEEL, LOCAL, GIVEN = "embedded wheel", "local binaries", "scratch_url"

_servers: dict[Path, Server] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Scratch:
    """A server for proofs. `source`: `scratch_url`, `local binaries` or `embedded wheel`."""

    url: str
    major: int
    source: str


@dataclass(frozen=True)
class Fit:
    """A scratch server beside a target: what it lacks, and `notes`, what that means for the proof."""

    scratch: Scratch
    lacking: Lacking
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Programs:
    """initdb and postgres of one major."""

    folder: Path
    major: int
    source: str


@contextmanager
def server(
    url: str | None,
    major: int | None = None,
    pg_bin: Path | None = None,
    *,
    folder: Path | None = None,
    extensions: Collection[str] = (),
) -> Iterator[Scratch]:
    """A scratch server of that major (None: any): `url`, else a throw-away one, shared and kept for the next.

    `folder` is where its data go (default: the state folder). Where local programs and the wheel both have the major,
    the one with more of `extensions` is taken. Raises Refused(E-SCRATCH), StepFailed(E-SCRATCH).
    """
    yield find(url, major, pg_bin, folder, extensions)


def find(
    url: str | None,
    major: int | None = None,
    pg_bin: Path | None = None,
    folder: Path | None = None,
    extensions: Collection[str] = (),
) -> Scratch:
    """As `server`, for the rest of this process."""
    if url is not None:
        return given(url, major)
    fitting = [one for one in installed(pg_bin) if major in (None, one.major)]
    if not fitting:
        raise Refused("E-SCRATCH", f"I have no scratch server{nothing(major, pg_bin)}", remedy(major))
    tried: list[tuple[int, Scratch]] = []
    for one in fitting:
        scratch = Scratch(running(one, folder or state_dir()).url(), one.major, one.source)
        lacks = len(scratch_extensions.unknown(scratch.url, extensions)) if extensions else 0
        tried.append((lacks, scratch))
        if lacks == 0:
            break
    return min(tried, key=lambda each: each[0])[1]


def given(url: str, major: int | None) -> Scratch:
    """The server of `scratch_url`. Raises StepFailed where it does not answer, Refused where its major is another."""
    with (
        postgres.trouble("reach the scratch server"),
        postgres.connect(url, "rollback-bot", "the scratch server") as conn,
    ):
        found = conn.info.server_version // 10000
    if major is not None and found != major:
        raise Refused(
            "E-SCRATCH",
            f"The scratch server is PostgreSQL {found}, the target is {major}: a proof there would prove little. "
            "Nothing was started.",
            f"Point `scratch_url` to a PostgreSQL {major}, or leave it out: then I start a throw-away one "
            "where its programs are installed.",
        )
    return Scratch(url, found, GIVEN)


def nothing(major: int | None, pg_bin: Path | None) -> str:
    """The end of the sentence that there is none."""
    majors = sorted({one.major for one in installed(pg_bin)})
    found = f"server programs of {', '.join(map(str, majors))} only" if majors else "no server programs"
    wanted = f" of PostgreSQL {major}" if major else ""
    return f"{wanted}, so I cannot rehearse: no `scratch_url` is set, and there are {found} here. Nothing was started."


def remedy(major: int | None) -> str:
    """What to do where there is none."""
    which = f"PostgreSQL {major}" if major else "PostgreSQL"
    return (
        f"Set `scratch_url` (or TEST_DATABASE_URL) to a {which} where I may create databases, or install the server "
        f"programs of {which} here (Debian: `postgresql-{major or 18}`) and name their folder in `pg_bin` if need be."
    )


def installed(pg_bin: Path | None = None) -> list[Programs]:
    """Server programs here: `pg_bin`, the known places, PATH, the wheel; the newest major first."""
    folders = [pg_bin] if pg_bin else []
    folders += [Path(place.format(major=major)) for place in PLACES for major in range(14, 30)]
    folders += [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    wheel: Path | None = None
    with suppress(Refused):  # it is one place of several
        wheel = throwaway.binaries()
        folders.append(wheel)
    unique = {(folder / "postgres").resolve(): folder for folder in reversed(folders)}  # links to one are one
    found = [
        Programs(folder, major, WHEEL if wheel and program == (wheel / "postgres").resolve() else LOCAL)
        for program, folder in reversed(unique.items())
        if (major := throwaway.major_of(folder))
    ]
    return sorted(found, key=lambda one: -one.major)


# -- throw-away servers of this process --------------------------------------------------------------------


def running(programs: Programs, folder: Path) -> Server:
    """The one of these programs, started where it is not running. Raises Refused(E-SCRATCH)."""
    key = (programs.folder / "postgres").resolve()
    with _lock:
        if key in _servers and answers(_servers[key]):
            return _servers[key]
        if key in _servers:
            _servers.pop(key).stop()
        try:
            started = throwaway.start(folder, settings=SETTINGS, bin_dir=programs.folder)
        except Refused as error:
            why = re.sub(r'"?/[^\s"]*"?', "a file", error.hint)  # no path of this machine in a channel
            raise Refused(
                "E-SCRATCH",
                f"The throw-away PostgreSQL {programs.major} does not start. Nothing was started.",
                f"Set `scratch_url`, or mend it: {why[-300:]}",
            ) from None
        if not _servers:
            atexit.register(stop)
        _servers[key] = started
        return started


def answers(one: Server) -> bool:
    """Does it take connections, and is the process there that ends it with us?"""
    if not one.keeper_lives:
        return False
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(str(one.socket_dir / f".s.PGSQL.{one.port}"))
        except OSError:
            return False
    return True


def stop() -> None:
    """Stop the throw-away servers of this process; the next proof starts a new one."""
    with _lock:
        atexit.unregister(stop)
        while _servers:
            _servers.popitem()[1].stop()


# -- a scratch server beside a target ----------------------------------------------------------------------


def fit(target: Target, settings: Settings, database: Json, scripts: Sequence[str] = ()) -> Fit:
    """The scratch server for a target, with all that its schema needs.

    `database` is the target's `postgres.identity`, `scripts` the SQL that will run. Raises Refused(E-SCRATCH): none
    there, the target's own database, another major, extensions lacking that are needed.
    """
    url = target.scratch_url.get_secret_value() if target.scratch_url else None
    major = int(database["server_version"].split(".")[0])
    with postgres.target(target.database_url.get_secret_value(), "scratch", target.name) as conn:
        there = scratch_extensions.present(conn)
        scratch = find(url, major, settings.pg_bin, settings.backup_dir.parent, there)
        with postgres.trouble("look at the scratch server"), postgres.connect(scratch.url, "rollback-bot") as other:
            if scratch.source == GIVEN:
                refuse_target(database, postgres.identity(other), target.name)
            else:
                scratch_extensions.introduce_roles(conn, other)
            lacking = scratch_extensions.lacking(conn, other, scripts)
    if lacking.needed:
        raise refused(lacking.needed, scratch, target.name)
    return Fit(scratch, lacking, lacking.notes())


def refuse_target(database: Json, other: Json, name: str) -> None:
    """Raises Refused(E-SCRATCH) where `scratch_url` leads to the target's own database, under whatever name."""
    if all(database[part] == other[part] for part in ("system_identifier", "oid")):
        raise Refused(
            "E-SCRATCH",
            f"`scratch_url` leads to the database of *{name}* itself. Nothing was started.",
            "Point it to another server, or at least to another database.",
        )


def refused(needed: Sequence[str], scratch: Scratch, name: str) -> Refused:
    """The answer where the copy cannot be made without an extension."""
    names = ", ".join(f"`{one}`" for one in needed)
    many, them = ("extensions", "them") if len(needed) > 1 else ("extension", "it")
    where = "the server of `scratch_url`" if scratch.source == GIVEN else f"a throw-away one ({scratch.source})"
    return Refused(
        "E-SCRATCH",
        f"The schema of *{name}* or a script needs the {many} {names}, and {where} has not got {them}: "
        "I cannot prove anything there. Nothing was started.",
        f"Install {them} there, or set `scratch_url` to a PostgreSQL {scratch.major} that has {them}.",
    )
