"""Our programs, started cheaply: a process that has imported them once forks for each start. As `subprocess` otherwise.

`Popen` and `run` take the command lines `python -m …` of the modules in PROGRAMS. What they start is a process of its own
with the given environment, folder and streams, and runs the module as `__main__` from its first line, so signals, exit
codes and SIGKILL are as ever. What is saved is the import of the libraries: 0.5 s of CPU per bot. Some tests start the
true command line all the same.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parent.parent
DEVNULL, CompletedProcess, TimeoutExpired = subprocess.DEVNULL, subprocess.CompletedProcess, subprocess.TimeoutExpired
PROGRAMS = {"bot": "bot.__main__", "core": "core.cli", "tests.dying": "tests.dying", "tests.crash.life": "bot.__main__"}
"""Module to run -> what it imports."""
MORE = ("core.driving", "core.desk", "core.doctor", "core.check.command")
"""What the shell imports only when a verb asks for it."""
LONGEST = 1 << 17  # bytes of an order: the environment is the most of it


# -- the process that forks ------------------------------------------------------------------------------------


def main() -> None:
    """Fork for each order on the socket, until it is closed; returns in each child, which goes on as its program."""
    for module in (*PROGRAMS.values(), *MORE):
        import_module(module)
    for module in PROGRAMS:  # they run as `__main__`, and are not there before
        sys.modules.pop(f"{module}.__main__", None)
    sys.modules.pop("tests.dying", None)
    gc.freeze()  # else the first collection in a child would copy every page
    order = serve(socket.socket(fileno=int(sys.argv[1])))
    if order:
        sys.argv = [order["module"], *order["words"]]  # runpy puts the file's name first, as the interpreter does
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


def serve(door: socket.socket) -> dict[str, Any] | None:
    """The order in a child; None in the parent, at the end."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    ends: dict[int, int] = {}
    while True:
        ready = select.select([door, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 1000)
            tell(ends)
        if door not in ready:
            continue
        data, fds, _, _ = socket.recv_fds(door, LONGEST, 4)
        if not data:
            return None
        order: dict[str, Any] = json.loads(data)
        pid = os.fork()
        if not pid:
            door.detach()
            become(order, fds)
            return order
        ends[pid] = fds[3]
        for fd in fds[:3]:
            os.close(fd)
        door.send(str(pid).encode())


def tell(ends: dict[int, int]) -> None:
    """Write the exit code of each child that has ended to whoever waits for it."""
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        end = ends.pop(pid)
        with suppress(BrokenPipeError):  # nobody waits any more
            os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(end)


def become(order: Mapping[str, Any], fds: Sequence[int]) -> None:
    """Environment, folder, streams and signals as after a start."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    os.closerange(3, 1024)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    time.tzset()
    # the interpreter makes these by what they lead to
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115


# -- as subprocess -----------------------------------------------------------------------------------------------


class Forker:
    """The process that forks, as its parent sees it."""

    def __init__(self) -> None:
        self.door, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            command = [sys.executable, "-m", "tests.forks", str(other.fileno())]
            self.process = subprocess.Popen(command, cwd=ROOT, pass_fds=[other.fileno()])
        self.lock = threading.Lock()
        atexit.register(self.close)

    def close(self) -> None:
        self.door.close()
        self.process.wait()

    def start(self, order: Mapping[str, Any], fds: Sequence[int]) -> int:
        """The pid."""
        with self.lock:
            socket.send_fds(self.door, [json.dumps(order).encode()], fds)
            return int(self.door.recv(100))


forker = cache(Forker)


class Popen:
    """A program that runs."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: int | IO[Any],
        stdout: int | IO[Any],
        stderr: int | IO[Any],
    ) -> None:
        python, dash, module, *words = command
        assert (python, dash) == (sys.executable, "-m") and module in PROGRAMS, command
        self.args, self.returncode = command, None
        self._ended, end = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            streams = [
                nothing if s == DEVNULL else s if isinstance(s, int) else s.fileno() for s in (stdin, stdout, stderr)
            ]
            order = {"module": module, "words": words, "env": dict(env), "cwd": str(cwd)}
            self.pid = forker().start(order, [*streams, end])
        finally:
            os.close(nothing)
            os.close(end)

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(os.read(self._ended, 100))
            os.close(self._ended)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: str | bytes = b"",
    timeout: float,
    text: bool = False,
    **_: Any,
) -> CompletedProcess[Any]:
    """Run to its end, with what it has written."""
    into, give = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = Popen(command, cwd=cwd, env=os.environ if env is None else env, stdin=into, stdout=out, stderr=err)
        os.close(into)
        with os.fdopen(give, "wb") as pipe:
            pipe.write(input.encode() if isinstance(input, str) else input)
        try:
            child.wait(timeout)
        except TimeoutExpired:
            child.kill()
            child.wait()
            raise
        written = [Path(f"/proc/self/fd/{file.fileno()}").read_bytes() for file in (out, err)]
    return CompletedProcess(command, child.returncode, *(each.decode() if text else each for each in written))


if __name__ == "__main__":
    main()
