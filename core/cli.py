"""The shell door: `rollback`. The same words and the same core as in Slack.

Data goes to stdout, progress to stderr; `--json` prints one object. Exit codes: core/errors.py. What must be there at
once, help and completion, is answered before anything else is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from core import __version__

MACHINE = "__complete"
"""The first word of a completion script's question; no verb, and nothing that anybody types."""
DASHES = ("-", "–", "—")
"""What a flag begins with: a phone makes one long dash of two."""


def main(words: Sequence[str] | None = None) -> int:
    """Exit code of the shell."""
    argv = sys.argv[1:] if words is None else list(words)
    if argv[:1] == [MACHINE]:
        from core.completion import answer

        return answer(argv[1:])
    legible()
    argv, guarded = parted(argv)
    try:
        return run(argv, guarded)
    except KeyboardInterrupt:
        print("\nStopped. `rollback status` says what stands.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # noqa: BLE001 - a traceback can hold an address with its password
        from core.complaint import complain

        return complain(error, "--json" in argv)


def parted(argv: list[str]) -> tuple[list[str], list[str] | None]:
    """Our words, and the command after `--` of `guard`, None without one: that may hold secrets, so nothing else reads it.

    Where the `--` was forgotten, nobody can tell where it begins: of all those words only help's are kept.
    """
    if first_of(argv) != "guard":
        return argv, None
    if "--" in argv:
        at = argv.index("--")
        return argv[:at], argv[at + 1 :]
    return [word for word in argv if word.lower() == "guard" or word in ("--json", "-h", "--help")], None


def first_of(argv: list[str]) -> str:
    """The verb, as far as it was typed."""
    words = [word.lower() for word in argv if word != "--json"]
    first = words[0] if words else ""
    return "guard" if "guard" in words and guards(words) else first


def guards(words: list[str]) -> bool:
    """Is `guard` the verb of these? Flags and their values may stand before it."""
    from core.grammar import KNOWN_FLAGS, SWITCHES, TEXT_FLAGS

    while (word := words.pop(0)).startswith(DASHES):
        name, equals, _ = word.lstrip("".join(DASHES)).partition("=")
        if name not in KNOWN_FLAGS:  # it will be refused; what stands behind it may be somebody's command all the same
            return True
        while name in TEXT_FLAGS and words and not words[0].startswith(DASHES):  # runs to the next flag
            words.pop(0)
        if name not in SWITCHES | TEXT_FLAGS and not equals:
            del words[:1]
        if "guard" not in words:
            return False
    return word == "guard"


def run(argv: list[str], guarded: list[str] | None = None) -> int:
    """The answer to one line. Raises Problem, and what is a fault of ours."""
    first = first_of(argv)
    if argv == ["--version"]:
        print(f"rollback-bot {__version__}")
        return 0
    if first in ("", "help") or {"-h", "--help"} & {*argv}:
        from core.manual import main as help_

        return help_(argv)
    if first == "completion":
        from core.completion import script

        return script(argv[argv.index(next(word for word in argv if word.lower() == first)) + 1 :])
    if first == "check":
        from core.check.command import main as check

        return check([word for word in argv if word != "check"])
    from core.shell import Shell

    return Shell(argv, guarded or ()).run()


def legible() -> None:
    """What the screen's encoding does not have is written as `\\u20ac`; it is no reason to break off."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
