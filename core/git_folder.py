"""`git:PATH@REF:folder`, as a target's `migrations` may name them: a folder as it is in a commit of a repository."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

BEGINS = "git:"
REF = re.compile(r"[A-Za-z0-9._/+][A-Za-z0-9._/+-]*")
"""What a branch, a tag or a commit may be made of; none begins with a dash, which would be an option of git's."""
SAYS = "a folder, or `git:PATH@REF:folder` with a branch, a tag or a commit for REF"


@dataclass(frozen=True)
class GitFolder:
    """`ref`: branch, tag or commit; `folder`: below the repository's root, `.` for the root; `state`: where commits are read into.

    `held`: where it is a list, `ref` is resolved once, and the commit is kept in it.
    """

    repository: Path
    ref: str
    folder: str
    state: Path = Path(".git-folders")
    held: list[str] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{BEGINS}{self.repository}@{self.ref}:{self.folder}"


def read(text: str) -> GitFolder:
    """What a setting says. Raises ValueError with the end of a sentence that begins with the setting's name."""
    rest, colon, folder = text.removeprefix(BEGINS).rpartition(":")
    path, at, ref = rest.rpartition("@")
    if not (colon and at and path and folder):
        raise ValueError(f"must be {SAYS}")
    if not REF.fullmatch(ref) or ".." in ref:
        raise ValueError("must have a branch, a tag or a commit between `@` and `:`, and it may not begin with `-`")
    inside = PurePosixPath(folder)
    if inside.is_absolute() or ".." in inside.parts:
        raise ValueError("must name a folder inside the repository after the last `:`")
    return GitFolder(Path(path).expanduser(), ref, str(inside))


def once(folder: Path | GitFolder) -> Path | GitFolder:
    """The same; a branch is resolved where its files are read first, and then stays what it was."""
    return replace(folder, held=[]) if isinstance(folder, GitFolder) else folder
