"""`rollback check` as it is typed, and where its scratch server comes from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TextIO

from core import config, layouts, scratch_server
from core.check import Report, baseline, walk
from core.check.baseline import Held
from core.check.report import NOTHING as UNKNOWN
from core.check.report import data, junit, lines, shown
from core.errors import Refused
from core.lines import Line
from core.screen import Screen, err, out
from core.settings import Settings, Target
from core.shell import put
from core.verbs import VERBS

FLAGS = ("on", "layout", "since", "junit", "scratch", "baseline", "write-baseline")
SCRATCH = ("TEST_DATABASE_URL", "TEST_DB")
"""Variables that name a scratch server; the settings read the same ones."""
BAR = 24  # characters
NOTHING = "Nothing was started."


@dataclass(frozen=True)
class Asked:
    """The words of the command line. `scratch` may hold a password."""

    folder: Path | None = None
    on: str | None = None
    layout: str | None = None
    since: str | None = None
    junit: Path | None = None
    scratch: str | None = None
    baseline: Path | None = None
    write_baseline: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What was found, held against the baseline; `written`: how many findings the new one holds."""

    report: Report
    held: Held = UNKNOWN
    written: int | None = None

    @property
    def ok(self) -> bool:
        """Is nothing harmful that was not known?"""
        return self.written is not None or self.report.harmful == len(self.held.known)


def parse(words: Sequence[str]) -> Asked:
    """What stands after `rollback check`; `--json` is the caller's. Raises Refused (E-USAGE)."""
    folders: list[str] = []
    flags: dict[str, str] = {}
    rest = [word for word in words if word != "--json"]
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            folders.append(word)
            continue
        flag, given, value = word[2:].partition("=")
        if flag not in FLAGS:
            near = get_close_matches(flag, FLAGS, 1, 0.6)
            raise _usage(
                f"I do not know the flag `--{shown(flag)[:40]}`." + (f" Did you mean `--{near[0]}`?" * bool(near))
            )
        if not given:
            value = rest.pop(0) if rest else ""
        if not value:
            raise _usage(f"`--{flag}` needs a word after it.")
        if flag in flags:
            raise _usage(f"`--{flag}` stands there twice.")
        flags[flag] = value
    if len(folders) > 1:
        raise _usage(f"`check` takes one folder, not {len(folders)}.")
    if folders and not folders[0]:
        raise _usage("The folder's name is empty.")
    if "write-baseline" in flags and (other := next((flag for flag in ("baseline", "since") if flag in flags), "")):
        raise _usage(f"`--write-baseline` does not go with `--{other}`: it writes down all that is found.")
    report, old, new = (
        Path(flags[flag]) if flag in flags else None for flag in ("junit", "baseline", "write-baseline")
    )
    folder = Path(folders[0]) if folders else None
    few = (flags.get("on"), flags.get("layout"), flags.get("since"))
    return Asked(folder, *few, report, flags.get("scratch"), old, new)


def _usage(message: str) -> Refused:
    return Refused("E-USAGE", message, f"It is typed: `{VERBS['check'][0]}`. {NOTHING}")


def main(words: Sequence[str]) -> int:
    """`rollback check …`; the exit code. Raises as `parse` and `run`."""
    asked = parse(words)
    try:
        found = run(asked)
    except KeyboardInterrupt:
        err().tell("Stopped. The scratch databases are gone.")
        return 130
    if "--json" in words:
        put({"ok": found.ok, **data(found.report, found.held), "written": found.written})
    else:
        out().tell(*lines(found.report, found.held))
        if asked.write_baseline and found.written is not None:
            many = f"{found.written} finding{'s' * (found.written != 1)}"
            out().tell(f"{many} written to `{shown(asked.write_baseline.name)}`: `--baseline` knows them from now on")
    return 0 if found.ok else 3


def run(asked: Asked, env: Mapping[str, str] = os.environ, progress: TextIO = sys.stderr) -> Outcome:
    """Do it, and write the files. Raises Refused and StepFailed, as `walk.check` does, E-CONFIG, E-USAGE."""
    if asked.folder is None and not asked.on and config.find(env) is None:
        raise _usage("Name the folder of the migrations: there are no settings here that do.")
    settings = config.load(env=env) if asked.folder is None or asked.on else None  # with a folder, none are needed
    target = settings.target(asked.on) if settings else None
    folder = asked.folder or (layouts.of(target).folder if target else Path())
    layout = asked.layout or (target.layout if target and not asked.folder else None)
    timeout = target.statement_timeout.total_seconds() if target else walk.TIMEOUT
    if asked.junit and not asked.junit.absolute().parent.is_dir():
        raise Refused("E-USAGE", "The folder for the JUnit file does not exist.", NOTHING)
    known = baseline.read(asked.baseline, folder) if asked.baseline else None
    if asked.write_baseline:
        baseline.may_write(asked.write_baseline)
    with scratch(asked, settings, target, env) as url, bar(progress, env) as step:
        report = walk.check(folder, url, layout=layout, since=asked.since, timeout=timeout, progress=step)
    held = baseline.hold(report, known, whole=asked.since is None) if known else UNKNOWN
    written = baseline.write(report, folder, asked.write_baseline) if asked.write_baseline else None
    if asked.junit:
        try:
            asked.junit.write_text(junit(report, held), "utf-8")
        except OSError as error:
            why = (error.strerror or "not possible").lower()
            raise Refused("E-USAGE", f"I cannot write `{shown(asked.junit.name)}`: {why}.") from None
    return Outcome(report, held, written)


@contextmanager
def scratch(asked: Asked, settings: Settings | None, target: Target | None, env: Mapping[str, str]) -> Iterator[str]:
    """A server where databases may be made: `--scratch`, the target's, the environment's, else a throw-away one.

    Raises Refused (E-SCRATCH) and StepFailed (E-SCRATCH).
    """
    set_there = target.scratch_url.get_secret_value() if target and target.scratch_url else None
    url = asked.scratch or set_there or next((env[name] for name in SCRATCH if env.get(name)), None)
    with scratch_server.server(url, None, settings.pg_bin if settings else None) as found:
        yield found.url


@contextmanager
def bar(stream: TextIO, env: Mapping[str, str]) -> Iterator[walk.Progress]:
    """A bar on a terminal, nothing elsewhere; it is wiped at the end."""
    screen = Screen(stream, env)

    def show(done: int, total: int, name: str) -> None:
        filled = BAR * done // max(total, 1)
        screen.update(Line(f"[{'#' * filled}{'.' * (BAR - filled)}] {done} of {total}  {shown(name)[:40]}"))

    try:
        yield show
    finally:
        screen.update(None)
