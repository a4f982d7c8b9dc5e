"""Backups and saved rows at rest: everything goes to disk through age or gpg, and is read through them again.

They do it, not we: a file can be read without the bot (`age -d -i KEY RB-7K3M.saved | zstdcat`). Nothing lies in plain on
disk meanwhile. Data pass through pipes, and a tool that takes or gives nothing for PATIENCE seconds is ended: the rows
of a rollback are saved under a lock. Sources: age(1); gpg(1), `--trust-model`, `--compress-algo`.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from core import children, pgtools, pipes, temporary
from core.errors import Refused, StepFailed
from core.redact import clean, visible
from core.save.archive import Damaged
from core.settings import Target

PATIENCE = 10.0  # seconds
AGE, OPENPGP = b"age-encryption.org/", 0x80
"""How encrypted files begin: age's header; the bit that every packet of OpenPGP begins with (RFC 9580, 4.2)."""
UNCHANGED, UNSTARTED = "Production was not changed.", "Nothing was started."
PACKAGE = {"age": "age", "gpg": "gnupg"}
REMEDY = "Check `recipient` and `identity` under `encrypt`: docs/backups.md says what belongs there."
TROUBLE = re.compile(
    r"error|fail|cannot|could not|unable|denied|invalid|unknown|no such|no secret|no public|space left"
)


@dataclass(frozen=True)
class Cipher:
    """A tool, for whom it encrypts, and what decrypts."""

    tool: str
    recipient: str
    identity: Path

    @contextmanager
    def into(self, file: IO[bytes]) -> Iterator[IO[bytes]]:
        """What takes plain bytes and puts them encrypted into `file`, whole and synced when the block has ended.

        Raises StepFailed(E-BACKUP, E-DISK), Refused(E-TOOLS).
        """
        with Child(self, self._words(True), subprocess.PIPE, file) as child:
            into = Into(child, file.fileno())
            try:
                yield cast(IO[bytes], into)
                into.end()
            except BrokenPipeError:
                raise child.failure() from None
            if child.code():
                raise child.failure()
        os.fsync(file.fileno())

    def out_of(self, file: IO[bytes]) -> IO[bytes]:
        """The plain bytes of an encrypted file, which is closed with it. Reading raises Damaged, Refused(E-TOOLS)."""
        return io.BufferedReader(OutOf(Child(self, self._words(False), file, subprocess.PIPE), file), pipes.ROOM)

    def check(self) -> None:
        """What is encrypted can be decrypted again. Raises Refused(E-TOOLS, E-BACKUP)."""
        probe, back = secrets.token_bytes(32), b""
        try:
            with temporary.nameless() as file:
                with self.into(file) as out:
                    out.write(probe)
                file.seek(0)
                with self.out_of(file) as plain:
                    back = plain.read()
        except (StepFailed, Damaged) as error:
            why = f"What `{self.tool}` has encrypted: {error}. {UNSTARTED}"
            if isinstance(error, StepFailed):
                why = error.message.replace(UNCHANGED, UNSTARTED)
            raise Refused("E-BACKUP", why, REMEDY) from None
        if back != probe:
            raise Refused("E-BACKUP", f"`{self.tool}` decrypts another text than it was given. {UNSTARTED}", REMEDY)

    def _words(self, encrypt: bool) -> list[str]:
        program = shutil.which(self.tool)
        if program is None:
            raise Refused(
                "E-TOOLS",
                f"`encrypt` needs the program `{self.tool}`, which is not installed. {UNSTARTED}",
                f"Install it (Debian: `{PACKAGE[self.tool]}`), or take `encrypt` out of the settings.",
            )
        if self.tool == "age":
            return [program, *(["-e", "-r", self.recipient] if encrypt else ["-d", "-i", str(self.identity)])]
        home = [program, "--homedir", str(self.identity), "--batch", "--no-tty", "--quiet"]
        if not encrypt:
            return [*home, "--decrypt"]
        # compressed already; and the settings say whose key it is, no web of trust
        return [*home, "--compress-algo", "none", "--trust-model", "always", "-r", self.recipient, "--encrypt"]


def check(target: Target) -> Cipher | None:
    """How a target's files are encrypted, after it was tried. Raises Refused(E-TOOLS, E-BACKUP)."""
    cipher = cipher_of(target)
    if cipher:
        cipher.check()
    return cipher


def cipher_of(target: Target) -> Cipher | None:
    """How a target's files are encrypted, if they are."""
    given = target.encrypt
    if given is None or given.tool is None or given.identity is None:
        return None
    return Cipher(given.tool, given.recipient, given.identity)


def opened(path: Path, cipher: Cipher | None) -> IO[bytes]:
    """What a file holds, decrypted where it is encrypted, whatever the settings are today. Raises Damaged, Refused."""
    file = io.FileIO(path)
    head = file.read(len(AGE))
    file.seek(0)
    tool = "age" if head == AGE else "gpg" if head and head[0] & OPENPGP else None
    if tool is None:
        return cast(IO[bytes], file)
    file.close()
    if cipher is None or cipher.tool != tool:
        raise Damaged(f"it is encrypted by {tool}, and the settings of its target name no key of that kind")
    key = cipher
    return cast(IO[bytes], pipes.Rewindable(lambda: key.out_of(cast(IO[bytes], io.FileIO(path)))))


class Child:
    """One run of the tool. Its complaints go to a file: a pipe that nobody reads would hold it up."""

    def __init__(self, cipher: Cipher, words: list[str], stdin: int | IO[bytes], stdout: int | IO[bytes]) -> None:
        self.tool, self.errors = cipher.tool, temporary.nameless()  # closed with it
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            words, stdin=stdin, stdout=stdout, stderr=self.errors, env={**env, "LC_ALL": "C"}, start_new_session=True
        )
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipes.widen(pipe)
                os.set_blocking(pipe.fileno(), False)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """It is over, whatever it was doing."""
        pgtools.end(self.process)
        self.errors.close()

    def code(self) -> int | None:
        """Its exit code; None where it had to be ended."""
        return children.wait(self.process, PATIENCE, lambda: False, self.process.kill)

    def stall(self) -> pipes.Look:
        """For one block of data: raises StepFailed where the tool has not moved for too long."""
        until = time.monotonic() + PATIENCE

        def look() -> None:
            if time.monotonic() > until:
                told = f"`{self.tool}` takes and gives nothing for {PATIENCE:.0f} s. {UNCHANGED}"
                raise StepFailed("E-BACKUP", told, REMEDY)

        return look

    def said(self) -> str:
        """Its complaint in one line, without paths, at most 200 characters."""
        self.errors.seek(0)
        lines = [line for line in self.errors.read(100_000).decode(errors="replace").splitlines() if line.strip()]
        lines = [line for line in lines if TROUBLE.search(line.lower())] or lines or ["it gave no reason"]
        line = re.sub(rf"^(?:{self.tool}: |error: )*", "", lines[-1 if self.tool == "gpg" else 0])
        return visible(clean(re.sub(r"""["']?(?<![\w:/])/[^\s"':]+["']?""", "its file", line)))[:200].rstrip(".")

    def failure(self) -> StepFailed:
        """Why nothing could be written."""
        why = f"`{self.tool}` did not end" if self.code() is None else f"`{self.tool}` failed: {self.said()}"
        if "space left" in why:
            return StepFailed("E-DISK", f"{why}. {UNCHANGED}", "Free the disk, or set `backup_dir` to a bigger one.")
        return StepFailed("E-BACKUP", f"{why}. {UNCHANGED}", REMEDY)


class Into(io.RawIOBase):
    """The way in. Its `fileno` is that of the file on disk: who syncs it means that one, and a pipe cannot be synced."""

    def __init__(self, child: Child, disk: int) -> None:
        self.child, self.disk = child, disk

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.disk

    def write(self, data: Any) -> int:
        pipe = pgtools.pipe_of(self.child.process.stdin)
        pipes.write(pipe.fileno(), data, self.child.stall())
        return len(data)

    def end(self) -> None:
        """Nothing more will come."""
        pgtools.pipe_of(self.child.process.stdin).close()


class OutOf(io.RawIOBase):
    """The way out. The end of the data is only believed where the tool ended well."""

    def __init__(self, child: Child, source: IO[bytes]) -> None:
        self.child, self.source = child, source

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        pipe = pgtools.pipe_of(self.child.process.stdout)
        data = pipes.read(pipe.fileno(), len(room), self.child.stall())
        room[: len(data)] = data
        if not data and self.child.code():
            raise Damaged(f"`{self.child.tool}` cannot decrypt it: {self.child.said()}")
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self.child.close()
            self.source.close()
        super().close()
