"""What may not stand in a rollback script, and what an approver should see. Pure functions on one statement.

A statement comes as its SQL and its tree: a protobuf message `pg_query.Node`, or None where the tree is too deep to
decode; then its first words decide. Trees hold enums, which are compared by their protobuf names.
Of the statements that cannot run in a transaction those run by themselves of which the catalogs tell how far they are
(`alone`); the others are refused. The list was tried on PostgreSQL 15 and 18.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from core.postgres import OWN_SCHEMA
from core.script_tree import enum_name, options_of, subtypes
from core.standing_alone import alone

COMMENTS = re.compile(r"\s*(?:--[^\n\r]*|/\*.*?\*/)", re.DOTALL)
IDENTIFIER = re.compile(r'u&"(?:[^"]|"")*"', re.IGNORECASE)
HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad\u061c]")
NOISE = frozenset(
    [
        "OR",
        "REPLACE",
        "UNIQUE",
        "TEMP",
        "TEMPORARY",
        "GLOBAL",
        "LOCAL",
        "UNLOGGED",
        "RECURSIVE",
        "TRUSTED",
        "PROCEDURAL",
    ]
)
PAIRS = frozenset({
    "MATERIALIZED VIEW", "FOREIGN TABLE", "FOREIGN DATA", "EVENT TRIGGER", "TEXT SEARCH", "USER MAPPING", "ACCESS METHOD",
    "OPERATOR CLASS", "OPERATOR FAMILY", "DEFAULT PRIVILEGES", "LARGE OBJECT", "CONSTRAINT TRIGGER",
})  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """Why a statement is refused: `what` it is, `why` as the rest of the sentence, `remedy` as a sentence or empty."""

    code: str
    what: str
    why: str = "may not stand in a rollback script"
    remedy: str = ""


def against(node: Any, sql: str, history_table: str) -> Finding | None:
    """The first rule that the statement breaks, or None."""
    if node is None:
        return _by_words(sql) or _names(sql, history_table)
    name = node.WhichOneof("node") or ""
    tree = getattr(node, name) if name else None
    for rule in (_transaction, _settings, _no_transaction, _subscription, _copy):
        finding = rule(name, tree)
        if finding:
            return finding
    return _set_config(sql) or _names(sql, history_table)


def kind(node: Any, sql: str) -> str:
    """The statement's words, as `DROP TABLE`, `CREATE MATERIALIZED VIEW`, `DELETE`."""
    name = (node.WhichOneof("node") or "") if node is not None else ""
    if name in ("select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"):
        return str(name.removesuffix("_stmt").upper())
    words = _words(sql)
    if not words or words[0] not in ("CREATE", "ALTER", "DROP"):
        return words[0] if words else "SELECT"
    rest = [w for w in words[1:] if w not in NOISE]
    return " ".join([words[0], *(rest[:2] if " ".join(rest[:2]) in PAIRS else rest[:1])])


def doubts(node: Any, sql: str) -> Iterator[str]:
    """Sentences for the approver about one statement."""
    if node is None:
        yield "This statement is too deep for all checks; read it with care."
        return
    name = node.WhichOneof("node") or ""
    tree = getattr(node, name)
    what = kind(node, sql)
    if (getattr(tree, "behavior", None) is not None and enum_name(tree, "behavior") == "DROP_CASCADE") or _cascades(
        tree
    ):
        yield f"`{what}` with CASCADE also removes whatever depends on it."
    if name == "truncate_stmt":
        yield "`TRUNCATE` deletes all rows of a table."
    for word in _without_where(name, tree):
        yield f"`{word}` without WHERE changes every row of a table."
    if name == "drop_stmt" and enum_name(tree, "remove_type") == "OBJECT_EXTENSION":
        yield "`DROP EXTENSION` removes every type, function and column of the extension."
    if name in ROLES or subtypes(tree) & RIGHTS:
        yield f"`{what}` changes roles or rights."
    if alone(node, sql):
        yield f"`{what}` with CONCURRENTLY runs by itself, outside the transaction: cut short there, a person must decide."
    if name == "do_stmt":
        yield "`DO` runs code that is built while it runs; the rehearsal shows only what it did there."
    if name == "call_stmt":
        yield "`CALL` runs a procedure whose text is not in the script."
    if name == "variable_set_stmt":
        yield f"`{what} {str(tree.name)[:60] or 'ALL'}` changes how the rest of the script runs."
    if name == "load_stmt":
        yield "`LOAD` loads code into the server."
    if re.search(r"\bdblink(_\w+)?\s*\(", sql, re.IGNORECASE):
        yield "`dblink` acts outside the transaction: it cannot be undone."


def hidden_characters(text: str) -> bool:
    """Are there characters that are invisible or change the direction of text?"""
    return bool(HIDDEN.search(text))


ROLES = frozenset({
    "grant_stmt", "grant_role_stmt", "create_role_stmt", "alter_role_stmt", "alter_role_set_stmt", "drop_role_stmt",
    "alter_owner_stmt", "alter_default_privileges_stmt", "reassign_owned_stmt", "drop_owned_stmt",
    "create_policy_stmt", "alter_policy_stmt", "sec_label_stmt",
})  # fmt: skip


RIGHTS = frozenset({
    "AT_ChangeOwner", "AT_EnableRowSecurity", "AT_DisableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity",
})  # fmt: skip


# -- what ends or steers the transaction -------------------------------------------------------------------

TRANSACTION = {
    "TRANS_STMT_BEGIN": "BEGIN", "TRANS_STMT_START": "START TRANSACTION", "TRANS_STMT_COMMIT": "COMMIT",
    "TRANS_STMT_ROLLBACK": "ROLLBACK", "TRANS_STMT_SAVEPOINT": "SAVEPOINT", "TRANS_STMT_RELEASE": "RELEASE",
    "TRANS_STMT_ROLLBACK_TO": "ROLLBACK TO SAVEPOINT", "TRANS_STMT_PREPARE": "PREPARE TRANSACTION",
    "TRANS_STMT_COMMIT_PREPARED": "COMMIT PREPARED", "TRANS_STMT_ROLLBACK_PREPARED": "ROLLBACK PREPARED",
}  # fmt: skip
SETTINGS = frozenset({
    "standard_conforming_strings", "transaction_isolation", "transaction_read_only", "transaction_deferrable",
})  # fmt: skip


def _transaction(name: str, tree: Any) -> Finding | None:
    if name != "transaction_stmt":
        return None
    what = TRANSACTION.get(enum_name(tree, "kind"), "transaction control")
    return Finding("E-SCRIPT", what, remedy=" The bot runs the whole script in one transaction.")


def _settings(name: str, tree: Any) -> Finding | None:
    if name == "constraints_set_stmt" and not tree.constraints:
        return Finding(
            "E-SCRIPT", "SET CONSTRAINTS ALL", remedy=" Name the constraints: one of the bot's own is deferred."
        )
    if name != "variable_set_stmt":
        return None
    setting = str(tree.name)
    if enum_name(tree, "kind") == "VAR_SET_MULTI":  # TRANSACTION, TRANSACTION SNAPSHOT, SESSION CHARACTERISTICS
        return Finding("E-SCRIPT", f"SET {setting}")
    return Finding("E-SCRIPT", f"SET {setting}") if setting.lower() in SETTINGS else None


def _set_config(sql: str) -> Finding | None:
    """`standard_conforming_strings` decides where a string ends, so parser and server must agree about it."""
    lower = sql.lower()
    if "set_config" in lower and any(setting in lower for setting in SETTINGS):
        return Finding("E-SCRIPT", "set_config", "of this setting may not stand in a rollback script")
    return None


# -- what cannot run in a transaction ----------------------------------------------------------------------


def _no_tx(what: str, remedy: str = "") -> Finding:
    return Finding("E-NO-TX", what, "cannot run in a transaction", f" {remedy}" if remedy else "")


OUTSIDE = "Do it apart from the rollback."
NEVER = {
    "createdb_stmt": "CREATE DATABASE", "dropdb_stmt": "DROP DATABASE", "alter_system_stmt": "ALTER SYSTEM",
    "create_table_space_stmt": "CREATE TABLESPACE", "drop_table_space_stmt": "DROP TABLESPACE",
}  # fmt: skip


def _no_transaction(name: str, tree: Any) -> Finding | None:
    if name in NEVER:
        return _no_tx(NEVER[name], OUTSIDE)
    if name == "index_stmt" and tree.concurrent and not tree.idxname:
        return _no_tx("CREATE INDEX CONCURRENTLY", "Give the index a name, so that I can tell whether it is there.")
    if name == "vacuum_stmt" and tree.is_vacuumcmd:
        return _no_tx("VACUUM", OUTSIDE)
    if name == "cluster_stmt" and not tree.HasField("relation"):
        return _no_tx("CLUSTER", "Name one table.")
    if name == "discard_stmt" and enum_name(tree, "target") == "DISCARD_ALL":
        return _no_tx("DISCARD ALL", "Leave it out.")
    if name == "alter_database_stmt" and "tablespace" in options_of(tree.options):
        return _no_tx("ALTER DATABASE SET TABLESPACE", OUTSIDE)
    if name == "reindex_stmt":
        return _reindex(tree)
    return None


def _reindex(tree: Any) -> Finding | None:
    scope = enum_name(tree, "kind").removeprefix("REINDEX_OBJECT_")
    if "concurrently" in options_of(tree.params):
        return _no_tx("REINDEX CONCURRENTLY", f"Use `REINDEX {scope}`.")
    return _no_tx(f"REINDEX {scope}", "Name one table.") if scope in ("SYSTEM", "DATABASE", "SCHEMA") else None


def _subscription(name: str, tree: Any) -> Finding | None:
    if name in ("create_subscription_stmt", "drop_subscription_stmt"):
        return _no_tx(f"{name.split('_')[0].upper()} SUBSCRIPTION", OUTSIDE)
    if name == "alter_subscription_stmt" and "REFRESH" in enum_name(tree, "kind"):
        return _no_tx("ALTER SUBSCRIPTION REFRESH", OUTSIDE)
    return None


# -- what leaves the database ------------------------------------------------------------------------------


def _copy(name: str, tree: Any) -> Finding | None:
    """There is no channel for rows, and files and programs of the server are outside the transaction."""
    if name != "copy_stmt":
        return None
    if tree.is_program:
        return Finding("E-SCRIPT", "COPY PROGRAM", remedy=" It runs a program on the server.")
    if tree.filename:
        return Finding("E-SCRIPT", "COPY", "with a file of the server may not stand in a rollback script")
    return Finding(
        "E-SCRIPT", "COPY FROM STDIN" if tree.is_from else "COPY TO STDOUT", remedy=" Use `INSERT`, or leave it out."
    )


def _names(sql: str, history_table: str) -> Finding | None:
    """The history table (empty: anybody's) and the bot's own schema are the bot's. Strings and comments may name them."""
    own = {OWN_SCHEMA: "It is the bot's own."}
    if history_table:
        own[history_table] = "The bot removes the row itself; leave it out."
    lower = sql.lower()
    if not any(name.lower() in lower for name in own) and not IDENTIFIER.search(sql):
        return None
    postgast = import_module("postgast")
    raw, is_code = sql.encode(), _words(sql)[:1] == ["DO"]
    for token in postgast.scan(sql).tokens:
        text = raw[token.start : token.end].decode()
        shape = postgast.pg_query_pb2.Token.Name(token.token)
        found = [_identifier(text)] if shape in ("IDENT", "UIDENT") else []
        if shape == "SCONST" and is_code:
            found = [name for name in own if re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", text.lower())]
        for name in found:
            if name in own:
                return Finding("E-SCRIPT", name, remedy=f" {own[name]}")
    return None


def _identifier(text: str) -> str:
    if text.lower().startswith("u&"):
        return re.sub(r"\\([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text[3:-1])
    return text[1:-1] if text.startswith('"') else text.lower()


# -- small tools -------------------------------------------------------------------------------------------


def _by_words(sql: str) -> Finding | None:
    """For statements whose tree is too deep: only few kinds can be that deep, transaction control cannot."""
    words = _words(sql)
    if words[:1] == ["COPY"]:
        return Finding("E-SCRIPT", "COPY")
    if "INDEX CONCURRENTLY" in " ".join(words[:4]):
        return _no_tx("INDEX CONCURRENTLY", "Its expression is too deep to be checked; leave `CONCURRENTLY` out.")
    return _set_config(sql)


def _words(sql: str) -> list[str]:
    """The first words in capitals, without comments."""
    return [w.upper() for w in re.findall(r"[A-Za-z_]+", COMMENTS.sub(" ", sql[:2000]))[:8]]


def _cascades(tree: Any) -> bool:
    return any(enum_name(c.alter_table_cmd, "behavior") == "DROP_CASCADE" for c in getattr(tree, "cmds", ()))


def _without_where(name: str, tree: Any) -> Iterator[str]:
    """DELETE and UPDATE without a condition, also inside WITH, PREPARE and EXPLAIN."""
    if name in ("delete_stmt", "update_stmt") and not tree.HasField("where_clause"):
        yield name.removesuffix("_stmt").upper()
    inside = []
    if "with_clause" in tree.DESCRIPTOR.fields_by_name and tree.HasField("with_clause"):
        inside += [cte.common_table_expr.ctequery for cte in tree.with_clause.ctes]
    if name in ("prepare_stmt", "explain_stmt"):
        inside.append(tree.query)
    for node in inside:
        inner = node.WhichOneof("node")
        if inner:
            yield from _without_where(inner, getattr(node, inner))
