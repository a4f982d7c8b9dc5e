"""A script of somebody else's tool: its statements, and what `check` cannot run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from core import script
from core import script_rules as rules
from core.errors import Refused
from core.layouts import Part
from core.script import Statement
from core.script_tree import enum_name

DECLARED = re.compile(
    r"irrevers|not[\s-]+revers|(can\s?not|can't)\s+be\s+(undone|revers|revert|rolled)|one[\s-]way|no\s+way\s+back",
    re.IGNORECASE,
)
"""What people write in a comment, or as a constant. Not `no rollback needed`: that is a script with nothing to do."""
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
BY_ZERO = re.compile(r"\bselect\s+\(*\s*\d+\s*/\s*0\b", re.IGNORECASE)
RAISES = re.compile(r"\bdo\b.*?\bbegin\s+raise\s+(?!notice|warning|info|log|debug)", re.IGNORECASE | re.DOTALL)
CONSTANT = re.compile(r"select\s+(null|true|false|[\d.]+|'[^']*')(\s+as\s+\w+)?", re.IGNORECASE)
SHARED = {
    **rules.NEVER,
    "drop_subscription_stmt": "DROP SUBSCRIPTION",
    "create_subscription_stmt": "CREATE SUBSCRIPTION",
}
"""What acts on the whole server, or on another one: not for a scratch server that others may use."""


class Unfit(Exception):
    """`check` cannot run this script; the only argument is the sentence."""


@dataclass(frozen=True)
class Reading:
    """A script as it can be sent. `outside`: it must run outside a transaction; `roles`: the roles that it makes."""

    file: str
    statements: tuple[Statement, ...]
    outside: bool
    may_leave: bool
    notes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


def read(part: Part) -> Reading:
    """The statements of a script. `may_leave`: the tool itself would run it outside a transaction where it must.

    Raises Unfit: no SQL, a psql command, transaction control, COPY, or what acts on the whole server.
    """
    try:
        found = script.parsed(part.file, part.data)
    except Refused as refused:
        raise Unfit(refused.message) from None
    unwrapped = _unwrapped(found)
    notes = ("`BEGIN` and `COMMIT` around the whole script were left out",) if len(unwrapped) < len(found) else ()
    for statement, node in unwrapped:
        _fit(part.file, statement, node)
    alone = len(unwrapped) == 1
    may_leave = part.transaction in ("free", "never") or (part.transaction == "whole file" and alone and not notes)
    needs = any(statement.alone or _needs_outside(node) for statement, node in unwrapped)
    outside = part.transaction == "never" or (needs and may_leave)
    roles = tuple(str(node.create_role_stmt.role) for _, node in unwrapped if _is(node, "create_role_stmt"))
    return Reading(part.file, tuple(s for s, _ in unwrapped), outside, may_leave, notes, roles)


def declared(part: Part, reading: Reading) -> str:
    """How a rollback script says on purpose that there is no way back, or an empty text."""
    bare = [COMMENT.sub(" ", statement.sql).strip() for statement in reading.statements]
    if any(BY_ZERO.search(sql) for sql in bare):
        return "its rollback script divides by zero on purpose"
    if any(RAISES.match(sql) for sql in bare):
        return "its rollback script raises an error on purpose"
    said = [*COMMENT.findall(part.data.decode("utf-8", "replace")), *bare]
    if all(CONSTANT.fullmatch(sql) for sql in bare) and any(DECLARED.search(words) for words in said):
        return "its rollback script says so"
    return ""


def refused_by_the_bot(part: Part, history_table: str) -> list[str]:
    """Why our own bot would not run this rollback script although its effect is right: one sentence, or none."""
    try:
        script.read(part.file, part.data, history_table=history_table)
    except Refused as refused:
        return [f"the bot would refuse it: {refused.message}"]
    return []


def _is(node: Any, name: str) -> bool:
    return node is not None and node.WhichOneof("node") == name


def _control(node: Any) -> str:
    """BEGIN, COMMIT, ... or an empty text."""
    return rules.TRANSACTION.get(enum_name(node.transaction_stmt, "kind"), "?") if _is(node, "transaction_stmt") else ""


def _unwrapped(found: list[tuple[Statement, Any]]) -> list[tuple[Statement, Any]]:
    """The statements without a BEGIN and a COMMIT that hold the whole script, and no more than that."""
    if (
        len(found) > 1
        and _control(found[0][1]) in ("BEGIN", "START TRANSACTION")
        and _control(found[-1][1]) == "COMMIT"
    ):
        return found[1:-1]
    return found


def _fit(file: str, statement: Statement, node: Any) -> None:
    """Raises Unfit where the statement would leave our hands."""
    where = f"`{file}`, line {statement.line}"
    if control := _control(node):
        raise Unfit(f"{where}: `{control}` stands in the script, which cannot be tried as one transaction.")
    shared = next((words for name, words in SHARED.items() if _is(node, name)), None)
    if shared:
        raise Unfit(f"{where}: `{shared}` acts on the whole server, so it is not tried.")
    if _is(node, "copy_stmt"):
        what = "COPY PROGRAM" if node.copy_stmt.is_program else "COPY"
        raise Unfit(f"{where}: `{what}` moves rows in or out of the database, so it is not tried.")


def _needs_outside(node: Any) -> bool:
    name = (node.WhichOneof("node") or "") if node is not None else ""
    return bool(name) and rules._no_transaction(name, getattr(node, name)) is not None
