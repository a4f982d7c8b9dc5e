"""Reads a folder of a commit out of a git repository, by the git command: whole or not at all, and nothing is run from it.

Only rev-parse, ls-tree and cat-file, which read objects: no checkout, so no hooks, filters or attributes of the repository. Links and
submodules are not followed. What was read stays below the state folder, by commit, so that it is read once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import Refused
from core.git_folder import GitFolder

PATIENCE = 30.0  # seconds for one command
LARGEST = 200_000_000  # bytes of a folder
KEPT = 5  # commits, besides those that were used within the last hour
IN_USE = 3600.0  # seconds
GONE = ".gone-"
NOTHING = "Nothing was started."
FETCH = f"Fetch there (`git fetch --all --tags`), or correct the REF of `migrations`. {NOTHING}"
ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_ALLOW_PROTOCOL": "",  # nothing is fetched, not even what a partial clone lacks
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


@dataclass(frozen=True)
class Blob:
    """A file of a commit. `path` is relative to the folder."""

    path: PurePosixPath
    name: str
    size: int


def checkout(wanted: GitFolder) -> tuple[Path, str]:
    """The folder with the files, and the commit (40 digits, or 64). It does not exist where the commit has no such folder.

    Raises Refused: E-TOOLS (no git), E-FILE-MISSING (no repository, not ours to read, unknown commit, unfit files), E-DISK.
    """
    commit = commit_of(wanted)
    key = hashlib.sha256(f"{wanted.repository.resolve()}\n{wanted.folder}".encode()).hexdigest()[:12]
    place = wanted.state / f"{key}-{commit}"
    try:
        if used(place):
            return place, commit
        found = list(files(wanted, commit))
        if found:
            write(wanted, found, place)
            tidy(wanted.state)
    except OSError as error:
        why = (error.strerror or "not possible").lower()
        hint = f"Make room, or give the folder `git` beside the ledger to the account that the bot runs as. {NOTHING}"
        raise Refused("E-DISK", f"I cannot keep the migrations of a commit: {why}.", hint) from None
    return place, commit


def used(place: Path) -> bool:
    """Is it there? Then it is in use from now on. Raises OSError."""
    try:
        os.utime(place)
    except FileNotFoundError:
        return False
    return True


def commit_of(wanted: GitFolder) -> str:
    """What the branch, the tag or the commit is now, or was when it was resolved once. Raises Refused."""
    if wanted.held:
        return wanted.held[0]
    done = git(wanted, "rev-parse", "--verify", "--quiet", f"{wanted.ref}^{{commit}}")
    commit = done.stdout.decode("ascii", "replace").strip()
    if done.returncode or len(commit) not in (40, 64) or not commit.isalnum():
        raise Refused("E-FILE-MISSING", f"The repository of `migrations` knows no commit `{wanted.ref[:60]}`.", FETCH)
    if wanted.held is not None:
        wanted.held.append(commit)
    return commit


def files(wanted: GitFolder, commit: str) -> Iterator[Blob]:
    """The plain files of the folder; none where the commit has no such folder. Raises Refused."""
    tree = commit if wanted.folder == "." else f"{commit}:{wanted.folder}"
    done = git(wanted, "ls-tree", "-r", "-l", "-z", "--full-tree", tree)
    if done.returncode and b"ot a valid object name" not in done.stderr and b"not a tree" not in done.stderr:
        raise lacking("objects")
    for entry in done.stdout.split(b"\0")[:-1]:
        about, _, path = entry.partition(b"\t")
        mode, _, name, size = about.decode("ascii", "replace").split()
        inside = PurePosixPath(os.fsdecode(path))
        if mode == "120000" and inside.suffix == ".sql":
            message = f"`{inside.name[:80]}` is a link in the repository; I do not follow it."
            raise Refused("E-FILE-MISSING", message, f"Commit the file itself. {NOTHING}")
        if mode in ("100644", "100755"):
            if inside.is_absolute() or {"..", ".git"} & {part.lower() for part in inside.parts}:
                raise Refused("E-FILE-MISSING", "The commit holds a file that lies outside of its folder.", NOTHING)
            if not size.isdecimal():  # BAD: the object is not there
                raise lacking(f"`{inside.name[:80]}`")
            yield Blob(inside, name, int(size))


def write(wanted: GitFolder, found: Sequence[Blob], place: Path) -> None:
    """All files, into a folder that gets its name when it is complete. Raises Refused, OSError."""
    if sum(blob.size for blob in found) > LARGEST:
        message = f"The folder of `migrations` has more than {LARGEST // 1_000_000} MB in that commit."
        raise Refused("E-FILE-MISSING", message, f"Name the folder that has the migrations alone. {NOTHING}")
    wanted.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=".reading-", dir=wanted.state))
    try:
        for blob, data in contents(wanted, found):
            file = made / blob.path
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file, "xb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW, 0o600)) as out:
                out.write(data)
        made.rename(place)
    except OSError:
        if not place.is_dir():  # else somebody was faster, with the same
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def contents(wanted: GitFolder, found: Sequence[Blob]) -> Iterator[tuple[Blob, bytes]]:
    """Each file's bytes. Raises Refused where the repository lacks one."""
    done = git(wanted, "cat-file", "--batch", data="".join(f"{blob.name}\n" for blob in found).encode())
    out, at = done.stdout, 0
    for blob in found:
        end = out.find(b"\n", at)
        head = out[at:end].split() if end >= 0 else []
        if head[1:] != [b"blob", str(blob.size).encode()]:
            raise lacking(f"`{blob.path.name[:80]}`")
        yield blob, out[end + 1 : end + 1 + blob.size]
        at = end + 1 + blob.size + 1


def lacking(what: str) -> Refused:
    """It is not all there."""
    message = f"The repository of `migrations` lacks {what} of that commit."
    return Refused("E-FILE-MISSING", message, f"It is a partial clone, or damaged: fetch it whole. {NOTHING}")


def git(wanted: GitFolder, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """One command of git's in the repository, with an environment of its own. Raises Refused; not for every exit code."""
    repository = wanted.repository.resolve()
    safe = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "--no-replace-objects", "--no-pager")
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *safe, *words],
            input=data,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            start_new_session=True,
            # git looks for a repository in the folders above too; PATH itself must be one
            env={**environment(os.environ), "GIT_CEILING_DIRECTORIES": str(repository.parent)},
        )
    except FileNotFoundError:
        raise Refused(
            "E-TOOLS", "`migrations` names a git repository, and there is no `git` here.", f"Install it. {NOTHING}"
        ) from None
    except subprocess.TimeoutExpired:
        raise Refused(
            "E-FILE-MISSING",
            "git does not answer about the repository of `migrations`.",
            f"Look at its disk. {NOTHING}",
        ) from None
    said = done.stderr.decode("utf-8", "replace") if done.returncode else ""
    if "dubious ownership" in said:
        raise Refused(
            "E-FILE-MISSING",
            "The repository of `migrations` is owned by another account, so git does not read it.",
            f"Give it to the account that the bot runs as, or allow it: `git config --system --add safe.directory` with its path. {NOTHING}",
        )
    if "not a git repository" in said or "cannot change to" in said:
        raise Refused("E-FILE-MISSING", "`migrations` names no git repository.", f"Correct its PATH. {NOTHING}")
    return done


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """What git may know: where it is, and the settings of the account (`safe.directory`). No variable of git's from outside."""
    return {**{name: env[name] for name in ("PATH", "HOME", "XDG_CONFIG_HOME") if name in env}, **ENVIRONMENT}


def tidy(state: Path) -> None:
    """Remove what was not used for long, apart from the newest few. Other processes may do the same. Raises OSError."""
    uses = {one: at for one in state.iterdir() if (at := last_use(one)) is not None}
    commits = sorted((one for one in uses if not one.name.startswith(".")), key=uses.__getitem__, reverse=True)
    for old in commits[KEPT:]:
        if time.time() - uses[old] > IN_USE:
            # it loses its name before its first file: who dies here leaves no commit that is not whole
            with suppress(FileNotFoundError):
                old.rename(Path(tempfile.mkdtemp(prefix=GONE, dir=state)) / old.name)
    for left in state.glob(".*"):
        if left.name.startswith(GONE) or time.time() - uses.get(left, time.time()) > IN_USE:
            shutil.rmtree(left, ignore_errors=True)


def last_use(place: Path) -> float | None:
    """Seconds since the epoch; None where it has gone."""
    try:
        return place.stat().st_mtime
    except FileNotFoundError:
        return None
