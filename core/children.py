"""Other programs, run to their end: argument lists only, an environment made on purpose, a time limit, bounded output."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from core.temporary import nameless

LARGEST = 8_000_000
"""Bytes of output. A program that writes more is ended: kubectl prints some 20 kB for one deployment."""

PASSED = (
    "PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK",
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION",
    "COMPOSE_PROFILES", "COMPOSE_ENV_FILES", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
)  # fmt: skip
CLOUDS = ("AWS_", "AZURE_", "CLOUDSDK_", "GOOGLE_")
"""A kubeconfig may name a program that logs in to the cloud (`aws eks get-token`); these are its variables."""


@dataclass(frozen=True)
class Done:
    """How a program ended. `code` is None where it was ended: out of time, or it wrote more than LARGEST."""

    code: int | None
    out: str
    err: str


def run(
    words: Sequence[str],
    seconds: float,
    folder: Path | None = None,
    more: Mapping[str, str] = {},  # read only
    given_up: Callable[[], bool] = lambda: False,
) -> Done:
    """Run a program, with nothing to read, in a process group of its own. Raises OSError where it cannot be started.

    `more`: variables of its environment besides PASSED. `given_up` is asked five times a second whether to end it.

    Its output goes to files, not pipes: what it leaves behind in the background cannot hold us up, nor break on a
    pipe that nobody reads.
    """
    with nameless() as out, nameless() as err:
        child = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**environment(os.environ), **more},
            cwd=folder,
            start_new_session=True,
        )

        def enough() -> bool:
            return given_up() or max(os.fstat(file.fileno()).st_size for file in (out, err)) > LARGEST

        code = wait(child, seconds, enough, lambda: os.killpg(child.pid, signal.SIGKILL))
        return Done(code, _head(out), _head(err))


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """What a child may know: where its service is and how to log in there. Never Slack's tokens or a database's URL."""
    passed = {name: value for name, value in env.items() if name in PASSED or name.startswith(CLOUDS)}
    return {**passed, "LC_ALL": "C.UTF-8"}


def wait(
    child: subprocess.Popen[bytes], seconds: float | None, given_up: Callable[[], bool], end: Callable[[], None]
) -> int | None:
    """The exit code; None where time ran out, or it was `given_up` (asked five times a second).

    The child is over when this returns or raises: `end` kills it. One that may not be killed, such as sudo, is left.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        while True:
            left = 0.2 if deadline is None else min(0.2, max(deadline - time.monotonic(), 0))
            with suppress(subprocess.TimeoutExpired):
                return child.wait(left)
            if given_up() or (deadline is not None and time.monotonic() >= deadline):
                return None
    finally:
        if child.poll() is None:
            with suppress(PermissionError, ProcessLookupError):
                end()
            with suppress(subprocess.TimeoutExpired):
                child.wait(5)


def _head(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(LARGEST).decode(errors="replace")
