"""The words of `/rollback ...` in Slack and of `rollback ...` in the shell: one parser for both doors.

The rule for a first word that is no verb: with a digit in it, it names a migration. Without a digit it names a
migration too, unless it is close to a verb: then it is refused with the verb as a suggestion. Nothing is guessed.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from core.errors import Refused
from core.model import Request
from core.verbs import LEAVE_OUT, OTHER_WORDS, VERBS
from core.words import NAME, Word, cut

__all__ = ["VERBS", "Command", "new_run_id", "parse", "parse_words", "run_id"]

SYMBOLS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no 0 O 1 I L U: run ids are said on calls
DIGITS = "23456789"
RUN = re.compile(rf"(?:RB[-_‐‑–—]?)?([{SYMBOLS}]{{4}})", re.IGNORECASE | re.ASCII)
RUN_IN_FULL = re.compile(rf"RB[-_‐‑–—]([{SYMBOLS}]{{4}})", re.IGNORECASE | re.ASCII)
LONGEST_LINE = 4000  # characters
LONGEST_TEXT = 500  # characters; the form's text fields hold as many
SHORTEST_REASON = 5

FLAGS: dict[str, frozenset[str]] = {
    "request": frozenset({"on", "reason", "incident", "only"}),
    "plan": frozenset({"on", "reason", "incident", "only"}),
    "history": frozenset({"on", "by"}),
    "stats": frozenset({"on", "csv"}),
    "migrations": frozenset({"on"}),
    "check": frozenset({"on"}),
    "backup": frozenset({"on"}),
    "guard": frozenset({"on"}),
    "readiness": frozenset({"on"}),
    "drill": frozenset({"on"}),
    "reapply": frozenset({"reason"}),
    "restore": frozenset({"reason", "drop-old"}),
    "audit": frozenset({"witness"}),
    "report": frozenset({"html", "out"}),
}
KNOWN_FLAGS = ("on", "reason", "incident", "only", "by", "drop-old", "witness", "html", "out", "csv")
SWITCHES = frozenset({"only", "drop-old", "html", "csv"})
FILES = frozenset({"witness", "out"})
TEXT_FLAGS = frozenset({"reason", "incident"})


@dataclass(frozen=True)
class Command:
    """One line, understood. `verb` is a key of VERBS, or `form` for an empty line.

    `text` is the text of deny, withdraw and `drill skip`, and the word of `totp confirm`; `args` the word after audit,
    readiness, drill, totp and help, `drop-old` of restore, `html` of report and `csv` of stats; `count` the
    number of history and stats, and the days of `drill snooze`; `by` a Slack user id or a name as typed; `witness` the file of
    `audit verify --witness`, empty where Slack is to be read; `out` the file that `report` writes.
    """

    verb: str
    request: Request | None = None
    target: str | None = None
    reason: str = ""
    incident: str = ""
    run: str | None = None
    text: str = ""
    args: tuple[str, ...] = ()
    count: int | None = None
    by: str | None = None
    witness: str | None = None
    out: str | None = None
    json: bool = False


def parse(line: str) -> Command:
    """The text after `/rollback`, as Slack sends it. Raises Refused (E-USAGE, E-REASON)."""
    if len(line) > LONGEST_LINE:
        raise _usage(f"That line is too long: at most {LONGEST_LINE} characters.")
    return _command(cut(line))


def parse_words(words: Sequence[str]) -> Command:
    """The arguments of the shell, with `--json` anywhere. Raises Refused (E-USAGE, E-REASON)."""
    plain = [w for w in words if w != "--json"]
    as_json = "--json" in words
    for at, word in enumerate(plain):
        near = get_close_matches(word, ("--json", "--help", "--version"), 1, 0.8)  # only the shell has these
        slip = near and word.startswith("--") and word[2:].partition("=")[0] not in KNOWN_FLAGS
        if slip or (not at and re.match("-[A-Za-z]", word)):
            meant = f" Did you mean `{near[0]}`?" if near else ""
            raise _usage(f"I do not know the flag {_shown(word)}.{meant}", "`rollback help` lists all.")
    return replace(_command([Word(w, quoted=bool(re.search(r"\s", w))) for w in plain]), json=as_json)


def asked(command: Command) -> Request:
    """What a request asks for. Raises Refused(E-USAGE)."""
    if command.request is None:
        raise _usage("Say which migration.", "For example `/rollback latest`.")
    return command.request


def named_migration(name: str) -> str:
    """A migration's name as it may be asked for, without `.sql`. Raises Refused(E-USAGE)."""
    return _migration(name)


def run_id(text: str) -> str:
    """`rb7k3m` -> `RB-7K3M`. Raises Refused (E-USAGE)."""
    found = RUN.fullmatch(text)
    if not found:
        raise _usage(f"{_shown(text)} is no run id: they look like `RB-7K3M`.", "`status` shows the open ones.")
    return f"RB-{found[1].upper()}"


def new_run_id(taken: Callable[[str], bool]) -> str:
    """A run id that is not `taken`, from the system's random source. At least one of its symbols is a digit."""
    while True:
        symbols = "".join(secrets.choice(SYMBOLS) for _ in range(4))
        if any(s in DIGITS for s in symbols) and not taken(f"RB-{symbols}"):
            return f"RB-{symbols}"


# -- from words to a command -------------------------------------------------------------------------------


def _command(words: list[Word]) -> Command:
    positional, flags = _flags(words)
    if not positional:
        if flags:
            raise _usage("Say first what to undo: a migration, `latest`, or `to` and a migration.")
        return Command("form")
    first = positional[0].lower()
    verb = "stop" if first == "cancel" else first
    if verb not in VERBS or verb == "request":
        verb, rest = "request", positional
    else:
        rest = positional[1:]
    for flag in flags:
        if flag not in FLAGS.get(verb, frozenset()):
            what = "A request" if verb == "request" else f"`{verb}`"
            raise _usage(f"{what} takes no `--{flag}`.", f"It is typed: `{VERBS[verb][0]}`.")
    command = Command(
        verb,
        target=_name(flags["on"], "target") if "on" in flags else None,
        reason=_text(flags.get("reason", ""), "reason" in flags),
        incident=_text(flags.get("incident", "")),
        by=flags["by"].removeprefix("@") if "by" in flags else None,
        args=tuple(word for word in ("drop-old", "html", "csv") if word in flags),
        witness=flags.get("witness"),
        out=flags.get("out"),
    )
    return _filled(command, rest, "only" in flags)


def _flags(words: list[Word]) -> tuple[list[str], dict[str, str]]:
    """Positional words, and the flags with their text. A text runs to the next flag."""
    positional: list[str] = []
    flags: dict[str, list[str]] = {}
    current: str | None = None
    for word in words:
        flag, value = _flag(word)
        if flag:
            if flag in flags:
                raise _usage(f"`--{flag}` stands there twice.")
            flags[flag] = [value] if value else []
            current = flag if flag in TEXT_FLAGS or (flag not in SWITCHES and not value) else None
        elif current:
            flags[current].append(word.person if current == "by" and word.person else word.text)
            current = current if current in TEXT_FLAGS else None
        else:
            positional.append(word.text)
    for flag, value_words in flags.items():
        if flag not in {*SWITCHES, "reason", "witness"} and not any(value_words):
            raise _usage(f"`--{flag}` needs a word after it.")
        if flag in SWITCHES and value_words:
            raise _usage(f"`--{flag}` takes no value.")
    joined = {flag: " ".join(parts) for flag, parts in flags.items()}
    return positional, {flag: text if flag in FILES else " ".join(text.split()) for flag, text in joined.items()}


def _flag(word: Word) -> tuple[str, str]:
    """The flag's name and what follows `=`. A dash that a phone made of `--` counts where a known flag follows."""
    match = re.match(r"(--|—|–)([A-Za-z][\w-]*)(?:=(.*))?$", word.text)
    if not match or word.quoted:
        return "", ""
    name = match[2].lower()
    if name in KNOWN_FLAGS:
        return name, match[3] or ""
    near = get_close_matches(name, KNOWN_FLAGS, 1, 0.7)
    if match[1] == "--" or near:
        raise _usage(
            f"I do not know the flag `--{match[2][:40]}`." + (f" Did you mean `--{near[0]}`?" if near else ""),
            "In a text, put quotes around it. `/rollback help` lists all.",
        )
    return "", ""


def _filled(command: Command, rest: list[str], only: bool) -> Command:
    verb = command.verb
    if verb in ("request", "plan"):
        return replace(command, request=_request(rest, only, verb))
    if verb in ("deny", "withdraw"):
        _at_least_a_run(verb, rest)
        return replace(command, run=run_id(rest[0]), text=_text(" ".join(rest[1:])))
    if verb in (
        "approve",
        "break-glass",
        "stop",
        "resume",
        "verify",
        "keep",
        "show",
        "report",
        "reapply",
        "restore",
        "release",
    ):
        _at_least_a_run(verb, rest)
    if verb == "drill" and rest:
        return _drill(command, rest)
    if verb == "totp":
        return _totp(command, rest)
    if len(rest) > 1 or (rest and verb in ("migrations", "check", "backup", "guard", "whoami", "doctor")):
        raise _usage(f"`{verb}` takes no {_shown(rest[-1])}.", f"It is typed: `{VERBS[verb][0]}`.")
    if command.witness is not None and [word.lower() for word in rest] not in ([], ["verify"]):
        raise _usage("`--witness` goes with `audit verify`.", "It is typed: `audit verify --witness [FILE]`.")
    if verb == "readiness" and rest and rest[0].lower() != "now":
        raise _usage(f"`readiness` takes no {_shown(rest[0])}.", f"It is typed: `{VERBS['readiness'][0]}`.")
    if verb == "init" and rest:
        return replace(command, text=rest[0])
    if not rest:
        return command
    if verb == "history":
        return replace(command, count=_number(rest[0], 1, 20))
    if verb == "stats":
        return replace(command, count=_number(rest[0], 1, 36))
    if verb in ("help", "completion", "readiness") or (verb == "audit" and rest[0].lower() in ("verify", "export")):
        word = "stop" if rest[0].lower() == "cancel" else rest[0].lower()
        if verb == "help" and word not in VERBS:
            raise _unknown_verb(rest[0])
        return replace(command, args=(word,))
    return replace(command, run=run_id(rest[0]))


def _request(words: list[str], only: bool, verb: str) -> Request:
    first = words[0].lower() if words else ""
    if first == "to" and len(words) == 2:
        if only:
            raise _usage("`to` and `--only` do not go together: `to` says what stays, `--only` what goes.")
        return Request("to", _migration(words[1]))
    if first == "latest" and len(words) == 1:
        return Request("latest", None, only)
    if not words or first == "to":
        raise _usage("Say which migration.", f"It is typed: `{VERBS[verb][0]}`.")
    if first in LEAVE_OUT:
        raise _usage(f"Leave `{first}` out: `/rollback MIGRATION`, or `/rollback latest`.")
    if not any(c.isdigit() for c in first) and (near := _near(first)) and verb == "request":
        raise _unknown_verb(words[0], near)
    if len(words) > 1:
        also = "A reason goes after `--reason`." if first != "latest" else "`latest` undoes only the newest."
        raise _usage(f"I do not understand {_shown(words[1])} after {_shown(words[0])}. {also}")
    if found := RUN_IN_FULL.fullmatch(words[0]):
        raise _usage(f"`RB-{found[1].upper()}` is a run. `show RB-{found[1].upper()}` shows it.")
    return Request("from", _migration(words[0]), only)


def _migration(word: str) -> str:
    name = word[:-4] if word.lower().endswith(".sql") else word
    return _name(name, "migration")


def _name(word: str, what: str) -> str:
    if not NAME.fullmatch(word):
        allowed = "letters, digits, `_`, `.` and `-`, at most 200"
        raise _usage(f"{_shown(word)} cannot be the name of a {what}: names are {allowed}.")
    return word


def _drill(command: Command, rest: list[str]) -> Command:
    word = rest[0].lower()
    if word in ("start", "status", "agree", "stop") and len(rest) == 1:
        return replace(command, args=(word,))
    if word == "skip" and len(rest) > 1:
        return replace(command, args=(word,), text=_text(" ".join(rest[1:])))
    if word == "snooze" and len(rest) == 2:
        return replace(command, args=(word,), count=_number(rest[1], 1, 366))
    raise _usage(f"`drill` is typed: `{VERBS['drill'][0]}`.")


def _totp(command: Command, rest: list[str]) -> Command:
    word, more = (rest[0].lower() if rest else "status"), rest[1:]
    word = "enroll" if word == "enrol" else word
    if (word in ("status", "enroll") and not more) or (word == "confirm" and len(more) == 1):
        return replace(command, args=(word,), text="".join(more))
    if word == "remove" and len(more) < 2:
        return replace(command, args=(word,), by=more[0].removeprefix("@") if more else None)
    raise _usage(f"`totp` is typed: `{VERBS['totp'][0]}`.")


def _number(word: str, low: int, high: int) -> int:
    if re.fullmatch(r"[0-9]{1,3}", word) and low <= int(word) <= high:
        return int(word)
    raise _usage(f"{_shown(word)} is no number from {low} to {high}.")


def _text(text: str, is_reason: bool = False) -> str:
    text = " ".join(text.split())
    if is_reason and len(text) < SHORTEST_REASON:
        raise Refused("E-REASON", "Say why, with `--reason`, in at least 5 characters. Nothing was started.")
    if len(text) > LONGEST_TEXT:
        raise Refused("E-REASON", f"A text has at most {LONGEST_TEXT} characters; this one has {len(text)}.", NOTHING)
    return text


def _at_least_a_run(verb: str, rest: list[str]) -> None:
    if not rest:
        raise _usage(f"Say which run: `{VERBS[verb][0]}`.", "`status` shows the open ones.")


# -- refusals ----------------------------------------------------------------------------------------------

NOTHING = "Nothing was started."


def _near(word: str) -> str | None:
    """The verb, or `latest`, that somebody may have meant."""
    known = [*(v for v in VERBS if v != "request"), "latest", *OTHER_WORDS]
    if word in OTHER_WORDS:
        return OTHER_WORDS[word]
    near = get_close_matches(word, known, 1, 0.75)
    return OTHER_WORDS.get(near[0], near[0]) if near else None


def _unknown_verb(word: str, near: str | None = None) -> Refused:
    near = near or _near(word.lower())
    meant = f" Did you mean `{near}`?" if near else ""
    return _usage(f"I do not know {_shown(word)}.{meant}", "`/rollback help` lists all.")


def _shown(word: str) -> str:
    """A word of theirs in a message: short, printable, no backticks."""
    clean = "".join(c if c.isprintable() and c != "`" else "?" for c in word[:60])
    return f"`{clean}{'…' if len(word) > 60 else ''}`" if clean else "an empty word"


def _usage(message: str, hint: str = "") -> Refused:
    return Refused("E-USAGE", message, f"{hint} {NOTHING}".strip())
