"""The process that looks after one throw-away PostgreSQL; `core.throwaway` starts it, nobody else should.

It runs alone (`python -I -S throwaway_keeper.py`, standard library only), so that it outlives a parent that is
killed by SIGKILL: the end of its standard input, or a new parent process, means "stop the server at once and
remove everything". It speaks JSON lines: the order on standard input, one answer on standard output.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
STOP_SECONDS = 20.0
DEATH_SECONDS = 1.0
LONGEST_SOCKET_DIR = 80  # PostgreSQL allows 107 bytes (macOS 103) with the socket's name, .s.PGSQL.65535.lock
NEEDED = ("initdb", "postgres")
ENV = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}  # no PG* variable of the caller may reach the server


class Failed(Exception):
    """The server cannot do what was asked; the text is for a person."""


class Keeper:
    """Owns the folders and the server process of one throw-away PostgreSQL."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.wanted = Path(order["folder"])
        self.bin_dir = Path(order["bin_dir"])
        self.tcp = bool(order["tcp"])
        self.settings: dict[str, str] = order["settings"]
        self.port = 5432
        self.account: dict[str, Any] = {}
        self.uid, self.gid = os.getuid(), os.getgid()
        self.server: subprocess.Popen[bytes] | None = None
        self.emptied: list[Path] = []  # folders to remove with all they hold: base, then data
        self.parents: list[Path] = []  # folders that we had to make on the way, to remove when empty

    def prepare(self) -> None:
        """Make the folders, the database cluster and its settings. Raises Failed."""
        if self.uid == 0:
            self._become_nobody()
        where = Path(os.environ.get("TMPDIR") or "/tmp").resolve()  # noqa: S108  # tempfile would try each with a file
        if len(os.fsencode(where)) > LONGEST_SOCKET_DIR - 20 or not self._can_reach(where):
            where = Path("/tmp").resolve()  # noqa: S108  # the only short path that every system has
        self.base = self._make_dir("rb-pg-", where)
        self.log = self.base / "log"
        self.folder = self.wanted if self._open_wanted() else self.base
        self.data = self._make_dir("pg-", self.folder)
        self.bin_dir = self._readable_binaries()
        self._initdb()
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in self.settings.items()]
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("\n".join(["", *lines, ""]))

    def _become_nobody(self) -> None:
        # PostgreSQL refuses to run as root. No account is made and nothing of the caller's is opened up.
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise Failed("PostgreSQL does not run as root, and there is no account 'nobody' here.") from None
        self.uid, self.gid = nobody.pw_uid, nobody.pw_gid
        self.account = {"user": self.uid, "group": self.gid, "extra_groups": []}

    def _make_dir(self, prefix: str, where: Path) -> Path:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=where))  # mode 0700
        self.emptied.append(path)
        os.chown(path, self.uid, self.gid)
        return path

    def _open_wanted(self) -> bool:
        """Make the caller's folder when it is missing; whether the server's account can reach it."""
        new = [path for path in (self.wanted, *self.wanted.parents) if not path.exists()]
        if not self._can_reach(new[-1].parent if new else self.wanted):
            return False
        self.wanted.mkdir(parents=True, exist_ok=True)
        self.parents = new
        return self._can_reach(self.wanted)  # again: a strict umask may have closed what we just made

    def _can_reach(self, path: Path, also: int = 0) -> bool:
        """May the server's account pass every folder down to `path`, and has it `also` (4: read) there?"""
        path = path.resolve()
        return all(self._has(p, 1) for p in path.parents) and self._has(path, 1 | also)

    def _has(self, path: Path, bits: int) -> bool:
        if os.getuid() != 0:
            return os.access(path, bits)
        seen = path.stat()
        shift = 6 if seen.st_uid == self.uid else 3 if seen.st_gid == self.gid else 0
        return stat.S_IMODE(seen.st_mode) >> shift & bits == bits

    def _readable_binaries(self) -> Path:
        """The binaries, or a copy of them when the server's account cannot read the virtual environment."""
        home = self.bin_dir.parent
        if not (home / "share/postgres.bki").is_file():  # a distribution's own layout, which cannot be moved
            if all(self._can_reach(self.bin_dir / name) for name in NEEDED):
                return self.bin_dir
            raise Failed("The server's account may not run the PostgreSQL of this machine.")
        parts = [home / "share", home / "lib", *(self.bin_dir / name for name in NEEDED)]
        if all(self._can_reach(part, also=4) for part in parts) and self._has(home / "share/postgres.bki", 4):
            return self.bin_dir
        package, own = home.parent, self.base / "wheel"
        copy = own / package.name / home.name
        (copy / "bin").mkdir(parents=True)
        for name in NEEDED:
            shutil.copyfile(self.bin_dir / name, copy / "bin" / name)
        unneeded = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc")
        for part in ("share", "lib"):
            shutil.copytree(home / part, copy / part, ignore=unneeded, copy_function=shutil.copyfile)
        # auditwheel puts shared libraries next to the package, delocate inside it
        for libs in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
            if libs.is_dir():
                shutil.copytree(libs, own / libs.relative_to(package.parent), copy_function=shutil.copyfile)
        for path in (own, *own.rglob("*")):
            path.chmod(0o755)
        return copy / "bin"

    def _initdb(self) -> None:
        command = [str(self.bin_dir / "initdb"), "-D", str(self.data), "-A", "trust", "-U", "postgres"]
        command += ["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        kwargs = {"capture_output": True, "text": True, "cwd": self.base, "env": ENV, **self.account}
        try:
            done = subprocess.run(command, timeout=START_SECONDS, check=False, **kwargs)
        except PermissionError:
            raise Failed("PostgreSQL does not run as root, and we may not become 'nobody' here.") from None
        if done.returncode:
            raise Failed(f"initdb failed: {done.stderr.strip()[-600:]}")

    def start_patiently(self) -> None:
        """Start; after a kill from outside the last backends may need a moment to notice and go."""
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            try:
                return self.start()
            except Failed as why:
                if "pre-existing shared memory block" not in str(why) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def first_start(self) -> None:
        """Start; with TCP on a port that was free a moment ago, so again if somebody else was faster."""
        for last in (False, False, True):
            if self.tcp:
                with socket.create_server(("127.0.0.1", 0)) as free:
                    self.port = free.getsockname()[1]
            try:
                self.start()
                break
            except Failed as why:
                if last or "could not create any TCP/IP sockets" not in str(why):
                    raise

    def start(self) -> None:
        """Start the server and wait until it takes connections. Raises Failed with the end of its log."""
        if self.server is not None:
            # A kill from outside takes a moment to arrive.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(DEATH_SECONDS)
            if self.server.returncode is None:
                raise Failed("It is running already.")
        command = [str(self.bin_dir / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += ["-k", str(self.base), "-c", f"listen_addresses={'127.0.0.1' if self.tcp else ''}"]
        kwargs = {"stdin": subprocess.DEVNULL, "cwd": self.base, "env": ENV, **self.account}
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(command, stdout=log, stderr=log, **kwargs)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(self.server.pid):
            if self.server.poll() is not None or time.monotonic() > deadline:
                self.halt(signal.SIGQUIT)
                raise Failed(self.log.read_text(errors="replace")[-600:].strip())
            time.sleep(0.005)

    def _is_ready(self, pid: int) -> bool:
        # First line: process id; eighth: state (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def halt(self, how: signal.Signals) -> None:
        """Stop the server and wait: SIGQUIT immediate (crash recovery follows), SIGINT fast."""
        if self.server is None:
            return
        self.server.send_signal(how)
        try:
            self.server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.server = None

    def clean(self) -> None:
        """Stop at once and remove every folder that we made."""
        self.halt(signal.SIGQUIT)
        if self.emptied[1:] and (self.data / "postmaster.pid").exists():
            # Killed from outside: its shared memory is still there, and only a start takes it back.
            with contextlib.suppress(Failed, OSError):
                self.start_patiently()
            self.halt(signal.SIGQUIT)
        for path in reversed(self.emptied):
            for _ in range(100):
                shutil.rmtree(path, ignore_errors=True)
                if not path.exists():
                    break
                time.sleep(0.02)  # a backend that was killed with the server may still write its last file
        for path in self.parents:
            with contextlib.suppress(OSError):  # the caller keeps something of his own there
                path.rmdir()

    def answer(self) -> dict[str, Any]:
        """What the parent needs to know."""
        pid = self.server.pid if self.server else 0
        return {"folder": str(self.folder), "socket_dir": str(self.base), "port": self.port, "pid": pid}


def orders(parent: int) -> Iterator[dict[str, Any]]:
    """Yield one order per line of standard input, until it ends or the parent is gone."""
    rest = b""
    while os.getppid() == parent:
        # A forked child of the parent may hold the pipe open, so its end alone is not enough.
        if not select.select([0], [], [], 0.5)[0]:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines)


def obey(keeper: Keeper, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one order after the start."""
    if order["do"] == "start":
        keeper.start_patiently()
        return keeper.answer()
    keeper.halt(signal.Signals[order["signal"]])
    return {}


def main() -> None:
    """Serve the parent until it ends."""
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit(0))
    keeper: Keeper | None = None
    try:
        for order in orders(os.getppid()):
            try:
                if keeper is None:
                    keeper = Keeper(order)
                    keeper.prepare()
                    keeper.first_start()
                    answer = keeper.answer()
                else:
                    answer = obey(keeper, order)
            except (Failed, OSError, subprocess.TimeoutExpired) as why:
                answer = {"failed": str(why)}
            os.write(1, json.dumps(answer).encode() + b"\n")
    except BrokenPipeError:
        return  # the parent died while we worked
    finally:
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        if keeper is not None:
            keeper.clean()


if __name__ == "__main__":
    main()
