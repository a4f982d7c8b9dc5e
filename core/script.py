"""A rollback script: bytes -> statements, by PostgreSQL's own grammar, and what may not stand in it.

The parser is postgast (libpg_query). It counts UTF-8 bytes, stops at a NUL byte and knows no psql commands; its trees
are protobuf messages, whose decoder gives up below 100 levels: statements deeper than that are judged by their words.
What is refused here could end or leave the transaction that a rollback runs in; the rules are in `core/script_rules.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from core import script_rules as rules
from core.errors import Refused
from core.model import Json
from core.redact import holds_secret
from core.standing_alone import Alone, alone

LONGEST_EXPRESSION = 10_000
"""Nested tokens in one expression. libpg_query overflows the C stack between 20,000 and 100,000 (tried with 0.2.0)."""
LARGEST = 50_000_000  # bytes


@dataclass(frozen=True)
class Statement:
    """One statement as it is sent. `line`: where it starts, from 1; `kind`: its words, as `DROP TABLE`.

    `alone`: where it cannot run in a transaction, what it does to what.
    """

    sql: str
    line: int
    kind: str
    alone: Alone | None = None

    def told(self) -> Json:
        """As it is kept in the ledger."""
        return {
            "sql": self.sql,
            "line": self.line,
            "kind": self.kind,
            **({"alone": asdict(self.alone)} if self.alone else {}),
        }


@dataclass(frozen=True)
class Script:
    """A script that may run, in one transaction unless a statement stands alone. `name`: its file name; `size` in bytes; `sha256` of the bytes."""

    name: str
    sha256: str
    size: int
    statements: tuple[Statement, ...]
    text: str


def read(name: str, data: bytes, *, history_table: str = "schema_migrations") -> Script:
    """Parse a script and hold it against the rules.

    Raises Refused: E-SCRIPT (may not stand in a script, or is no SQL), E-NO-TX (cannot run in a transaction),
    E-NO-SCRIPT (nothing in it), E-TOOLS (the parser is missing).
    """
    raw = _checked(name, data)
    statements = []
    line, counted = 1, 0
    for start, end, node in _parsed(name, raw):
        line, counted = line + raw.count(b"\n", counted, start), start
        sql = raw[start:end].decode().rstrip()
        finding = rules.against(node, sql, history_table)
        if finding:
            what, why, remedy = finding.what, finding.why, finding.remedy
            raise Refused(finding.code, f"`{name}`, line {line}: {_tick(what)} {why}.{remedy}", NOTHING)
        statements.append(Statement(sql, line, rules.kind(node, sql), alone(node, sql)))
    if not statements:
        raise Refused("E-NO-SCRIPT", f"`{name}` holds no statement.", f"I do not guess one. {NOTHING}")
    return Script(name, hashlib.sha256(data).hexdigest(), len(data), tuple(statements), raw.decode())


def parsed(name: str, data: bytes) -> list[tuple[Statement, Any]]:
    """Each statement with its tree (None where that is too deep), held against no rule.

    Raises Refused: E-SCRIPT (no SQL), E-TOOLS (the parser is missing).
    """
    raw = _checked(name, data)
    found = []
    line, counted = 1, 0
    for start, end, node in _parsed(name, raw):
        line, counted = line + raw.count(b"\n", counted, start), start
        sql = raw[start:end].decode().rstrip()
        found.append((Statement(sql, line, rules.kind(node, sql), alone(node, sql)), node))
    return found


def warnings(script: Script) -> list[str]:
    """What the approver should see, one sentence each, with the line; at most one sentence for each rule."""
    found: dict[str, list[int]] = {}
    trees = _parsed(script.name, script.text.encode())
    for statement, (_, _, node) in zip(script.statements, trees, strict=True):
        for sentence in rules.doubts(node, statement.sql):
            found.setdefault(sentence, []).append(statement.line)
    if rules.hidden_characters(script.text):
        found["The script holds characters that are invisible or change the direction of the text."] = []
    return [f"`{script.name}`{_lines(lines)}: {sentence}" for sentence, lines in found.items()]


NOTHING = "Nothing was started."


def _lines(lines: list[int]) -> str:
    few = ", ".join(str(line) for line in lines[:5]) + (f" and {len(lines) - 5} more" if len(lines) > 5 else "")
    return f", line{'s' if len(lines) > 1 else ''} {few}" if lines else ""


def _tick(what: str) -> str:
    return f"`{what}`" if what else ""


def _checked(name: str, data: bytes) -> bytes:
    """The bytes without a byte order mark. Raises Refused where the parser would not see what the server sees."""
    if len(data) > LARGEST:
        raise Refused("E-SCRIPT", f"`{name}` has more than {LARGEST // 1_000_000} MB.", NOTHING)
    raw = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise Refused("E-SCRIPT", f"`{name}`, line {line}: a NUL byte may not stand in a rollback script.", NOTHING)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        hint = f"Save the file as UTF-8. {NOTHING}"
        raise Refused("E-SCRIPT", f"`{name}`, line {line}: this is not UTF-8.", hint) from None
    if holds_secret(text):
        why = "a password or token of the settings stands in it, and scripts are shown in the channel."
        raise Refused(
            "E-SCRIPT", f"`{name}`: {why}", f"Take it out, and change it: the file is known to others. {NOTHING}"
        )
    return raw


def _parsed(name: str, raw: bytes) -> Iterator[tuple[int, int, Any]]:
    """Start, end (bytes) and tree of each statement; None for a tree too deep to decode."""
    postgast = _postgast()
    too_deep: type[Exception] = import_module("google.protobuf.message").DecodeError
    text = raw.decode()
    try:
        if len(raw) > LONGEST_EXPRESSION:
            _not_too_deep(name, raw, postgast.scan(text).tokens)
        for statement in postgast.parse(text).stmts:
            start = statement.stmt_location
            yield start, start + statement.stmt_len if statement.stmt_len else len(raw), statement.stmt
    except postgast.PgQueryError as error:
        raise _syntax(name, raw, error.message, max(error.cursorpos - 1, 0)) from None
    except too_deep:
        yield from _one_by_one(postgast, raw, too_deep)


def _one_by_one(postgast: ModuleType, raw: bytes, too_deep: type[Exception]) -> Iterator[tuple[int, int, Any]]:
    at = 0
    for sql in postgast.split(raw.decode()):
        encoded = sql.encode()
        at = raw.index(encoded, at)
        start = at + len(encoded) - len(encoded.lstrip())
        try:
            trees = postgast.parse(sql).stmts
        except too_deep:
            trees = []
        at += len(encoded)
        yield start, at, trees[0].stmt if trees else None


def _postgast() -> ModuleType:
    """The parser, imported late: the shell starts faster without it. Raises Refused (E-TOOLS)."""
    try:
        return import_module("postgast")  # by name: its type stubs are not valid Python for mypy
    except (ImportError, OSError):
        raise Refused(
            "E-TOOLS",
            "PostgreSQL's grammar is missing here, so I cannot read rollback scripts.",
            f"Install postgast (no wheel for Intel Macs; it needs a compiler there). {NOTHING}",
        ) from None


def _not_too_deep(name: str, raw: bytes, tokens: Any) -> None:
    """Raises Refused where an expression is so long that parsing it would crash the process.

    An upper bound of the tree's depth: tokens since the last comma at each level of brackets, and what is inside them.
    """
    levels = [[0, 0, 0]]  # of each open bracket: tokens in this item, deepest group in this item, deepest item before
    for token in tokens:
        first = raw[token.start]
        level = levels[-1]
        level[0] += 1
        if first in b"([":
            levels.append([0, 0, 0])
        elif first in b")]" and len(levels) > 1:
            inside, groups, before = levels.pop()
            levels[-1][1] = max(levels[-1][1], inside + groups, before)
        elif first in b",;":
            levels[-1] = [0, 0, max(level[2], level[0] + level[1]) if first in b"," else 0]
        if sum(level[:2]) > LONGEST_EXPRESSION:
            line = raw.count(b"\n", 0, token.start) + 1
            raise Refused("E-SCRIPT", f"`{name}`, line {line}: this expression is too long to be checked.", NOTHING)


def _syntax(name: str, raw: bytes, message: str, at: int) -> Refused:
    """What the parser stumbled over, in words that help."""
    line = raw.count(b"\n", 0, at) + 1
    where = f"`{name}`, line {line}"
    rest = raw[at : at + 80].decode(errors="ignore")
    word = re.match(r"\S{1,40}", rest)
    if rest.startswith("\\") or re.match(r":['\"{]?[A-Za-z_]", rest):
        shown = word[0].replace("`", "'") if word else ""
        what = "command" if rest.startswith("\\") else "variable"
        return Refused("E-SCRIPT", f"{where}: `{shown}` is a psql {what}; the bot does not run psql scripts.", NOTHING)
    if re.search(rb"\bcopy\b[^;]*\bfrom\s+stdin\b", raw[:at], re.IGNORECASE):
        return Refused("E-SCRIPT", f"{where}: rows of `COPY FROM STDIN` may not stand in a rollback script.", NOTHING)
    # The parser quotes the rest of the file after an open quote: the first line is enough.
    first = message.splitlines()[0][:120].replace("`", "'") if message else "syntax error"
    return Refused("E-SCRIPT", f"{where}: {first}.", f"Mend the script. {NOTHING}")
