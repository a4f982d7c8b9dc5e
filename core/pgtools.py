"""Finds and runs pg_dump and pg_restore of the right major.

Connection parameters travel in a service file that has no name, never in argv or the environment, and
the child gets an environment of its own: a script could read the bot's tokens from an inherited one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import IO

from core import children, pipes, postgres, temporary
from core.errors import Refused, StepFailed
from core.redact import clean, visible, without_values

BARE = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
"""The environment of a program that is only asked what it is: ours holds tokens."""
PLACES = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin", "/opt/homebrew/opt/postgresql@{major}/bin")


@dataclass(frozen=True)
class Tools:
    """The client programs of one major."""

    folder: Path
    major: int

    def run(
        self,
        program: str,
        arguments: Sequence[str],
        url: str,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run to its end. Raises ToolFailed, or Cancelled when asked to stop."""
        with self._running(program, arguments, url, cancelled):
            pass

    def pour(
        self,
        program: str,
        arguments: Sequence[str],
        url: str,
        take: Callable[[bytes], object],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run to its end, with what it writes handed to `take`, block by block. Raises as `run`."""
        with self._running(program, arguments, url, cancelled, stdout=subprocess.PIPE) as child:
            out = pipe_of(child.stdout)
            pipes.widen(out)
            for block in pipes.blocks(out, partial(_go_on, cancelled)):
                take(block)

    def feed(
        self,
        program: str,
        arguments: Sequence[str],
        url: str | None,
        blocks: Iterable[bytes],
        cancelled: Callable[[], bool] = lambda: False,
        out: IO[bytes] | None = None,
    ) -> None:
        """Run to its end, with `blocks` for it to read; it may end before it has read them all. Raises as `run`.

        `url`: the database that it connects to, if any. `out`: a file for what it writes.
        """
        with self._running(program, arguments, url, cancelled, subprocess.PIPE, out or subprocess.DEVNULL) as child:
            into = pipe_of(child.stdin)
            os.set_blocking(into.fileno(), False)
            with suppress(BrokenPipeError):
                for block in blocks:
                    pipes.write(into.fileno(), block, partial(_go_on, cancelled))
            into.close()

    def listing(self, blocks: Iterable[bytes]) -> bytes:
        """The table of contents of an archive of pg_dump. Raises ToolFailed."""
        with temporary.nameless() as out:
            self.feed("pg_restore", ["-l"], None, blocks, out=out)
            out.seek(0)
            return out.read()

    @contextmanager
    def _running(
        self,
        program: str,
        arguments: Sequence[str],
        url: str | None,
        cancelled: Callable[[], bool],
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The program while it runs; it ends with the block, at the latest. `url`: the database that it connects to."""
        parameters = service_file(url) if url is not None else ""
        with unnamed(parameters.encode()) as service, temporary.nameless() as err:
            words = [str(self.folder / program), *arguments, *(["-d", "service=rollback"] if url is not None else [])]
            child = subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=err, env=environment(service))
            try:
                yield child
                code = children.wait(child, None, cancelled, child.kill)
            finally:
                end(child)
            if code is None:
                raise Cancelled
            if code:
                err.seek(0)
                raise ToolFailed(program, said(err.read().decode(errors="replace")))


@contextmanager
def unnamed(content: bytes) -> Iterator[str]:
    """A file for a child to read, which may hold a password; its path.

    On Linux it has no name: the path leads to our own descriptor, and nothing is left whatever ends us. Elsewhere it is a
    file of mode 0600.
    """
    linux = sys.platform == "linux"
    with temporary.nameless() if linux else tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}" if linux else str(file.name)


class ToolFailed(Exception):
    """A client program ended with an error; `said` is its first complaint, without details."""

    def __init__(self, program: str, said: str) -> None:
        super().__init__(f"{program}: {said}")
        self.said = said


class Cancelled(Exception):
    """The rollback was closed while a step was running."""


def environment(service: str) -> dict[str, str]:
    """What a child may know. HOME: libpq looks there for the certificates that `sslmode=verify-full` needs."""
    home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    return {"PGSERVICEFILE": service, "LC_ALL": "C", "PATH": "/usr/bin:/bin", **home}


def _go_on(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled


def pipe_of(pipe: IO[bytes] | None) -> IO[bytes]:
    """A pipe that the child was started with."""
    if pipe is None:
        raise AssertionError("the child was started with this pipe")
    return pipe


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that still runs, and close our ends of its pipes."""
    if child.poll() is None:
        child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe and not pipe.closed:
            with suppress(BrokenPipeError):
                pipe.close()


def said(text: str) -> str:
    """The first error line of a client program, without its DETAIL, paths and row content; at most 200 characters."""
    for line in text.splitlines():
        match = re.search(r"(?:error|fatal): *(.*)", line, re.IGNORECASE)
        if match:
            words = match.group(1).removeprefix("query failed: ERROR:").strip()
            return visible(clean(re.sub(r'"(/[^"]*)"', "its file", without_rows(words))))[:200]
    return "it ended without a reason"


def without_rows(words: str) -> str:
    """What COPY says of a row that the server did not take may quote it: only what names objects stays."""
    found = re.match(r"(COPY failed for table .*?): ERROR: *(.*)", words)
    if not found:
        return words
    known = re.search(r"violates|No space left|permission denied|does not exist|cannot execute", found[2])
    return f"{found[1]}: {without_values(found[2]) if known else 'a row was not taken'}"


def service_file(url: str) -> str:
    """libpq's service file for a URL. Source: PostgreSQL documentation, "The Connection Service File".

    Holds what a connection really uses, also what libpq took from PG* variables, a service or a password file: the
    child sees none of them. Raises Refused(E-DB).
    """
    with postgres.connect(url, "rollback-bot tools") as conn:
        parameters = {**conn.info.get_parameters(), "password": conn.info.password}
    own = ("service", "servicefile", "passfile", "application_name")
    parameters = {key: value for key, value in parameters.items() if value and key not in own}
    if parameters.get("sslcertmode") == "allow":
        del parameters["sslcertmode"]  # the default, which libpq tells all the same; clients before 16 do not know it
    if any("\n" in value for value in parameters.values()):
        raise Refused("E-DB", "The address of the database holds a line break.", "Correct the target's `database_url`.")
    return "[rollback]\n" + "".join(f"{key}={value}\n" for key, value in parameters.items())


def find(server_major: int, pg_bin: Path | None = None) -> Tools:
    """The tools of exactly the server's major. Raises Refused(E-TOOLS).

    An older pg_dump refuses the server; what a newer one writes, the scratch server of the target's major does not take.
    """
    found = {tools.major: tools for tools in reversed(installed(pg_bin))}
    if server_major in found:
        return found[server_major]
    others = f" I found {', '.join(str(major) for major in sorted(found))} only." if found else ""
    raise Refused(
        "E-TOOLS",
        f"I need pg_dump and pg_restore of PostgreSQL {server_major}.{others} Nothing was started.",
        f"Install the client programs of PostgreSQL {server_major}, or name their folder in `pg_bin`.",
    )


def installed(pg_bin: Path | None = None) -> list[Tools]:
    """Every set of client programs here, the preferred first; a folder that the settings name comes alone."""
    if pg_bin:
        folders = [pg_bin]
    else:
        folders = [Path(place.format(major=major)) for place in PLACES for major in range(14, 30)]
        folders += [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return [Tools(folder, major) for folder in folders if (major := major_of(folder))]


@cache
def major_of(folder: Path) -> int | None:
    """The major of the pg_dump and pg_restore in a folder; None where there are none.

    Debian's programs on PATH are Perl wrappers that would swallow our signals: they do not count.
    """
    for program in ("pg_dump", "pg_restore"):
        path = folder / program
        if not os.access(path, os.R_OK | os.X_OK) or not path.is_file() or path.read_bytes()[:2] == b"#!":
            return None
    try:
        text = subprocess.run(
            [str(folder / "pg_dump"), "--version"], capture_output=True, text=True, timeout=10, check=True, env=BARE
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", text)
    return int(match.group(1)) if match else None


def stopped(error: ToolFailed, code: str, doing: str) -> StepFailed:
    """A step's answer to a tool that failed."""
    disk = "No space left on device" in error.said
    hint = "Free the disk, or set `backup_dir` to a bigger one." if disk else "Production was not changed."
    return StepFailed("E-DISK" if disk else code, f"{doing}: {error.said}.", hint)
