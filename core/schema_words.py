"""Names and sentences for differences between two schemas. Pure; `core.schema` uses it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

LONGEST = 80
"""Characters of a definition that a sentence shows; what is longer is only said to be another one."""
NAME = re.compile(r'"((?:[^"]|"")*)"|([^."]+)')
PUBLIC = re.compile(r'("(?:[^"]|"")*"|\'(?:[^\']|\'\')*\')|(?<![\w.$"])public\.')
SQL_TOKEN = re.compile(
    r"""\$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
      | (?P<line>--[^\n]*) | /\*.*?\*/ | (?P<space>\s+)""",
    re.DOTALL | re.VERBOSE,
)
GENERATED = re.compile(r"_(check|fkey|key|pkey|excl|idx)\d*$")
TRUNCATED = 58
"""Bytes from which a generated name may hold only the start of the table's (NAMEDATALEN is 64)."""
LETTERS = {
    "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "D": "TRUNCATE", "x": "REFERENCES", "t": "TRIGGER",
    "m": "MAINTAIN", "C": "CREATE", "T": "TEMPORARY", "c": "CONNECT", "U": "USAGE", "X": "EXECUTE",
}  # fmt: skip
"""https://www.postgresql.org/docs/current/ddl-priv.html#PRIVILEGE-ABBREVS-TABLE"""
ACL_ITEM = re.compile(r'^("(?:[^"]|"")*"|[^=]*)=([A-Za-z*]*)/(.*)$', re.DOTALL)
NOUNS = {
    "PRIMARY": "primary key", "FOREIGN": "foreign key", "CHECK": "check constraint", "UNIQUE": "unique constraint",
    "EXCLUDE": "exclusion constraint",
}  # fmt: skip


def names(identity: str) -> tuple[str, ...]:
    """The parts of a qualified name without quotes: `public."Odd"` is ("public", "Odd")."""
    return tuple(match[2] if match[1] is None else match[1].replace('""', '"') for match in NAME.finditer(identity))


def plain(identity: str) -> str:
    """As people write it: without the schema `public`."""
    return PUBLIC.sub(lambda match: match[1] or "", identity)


def table_part(identity: str) -> str:
    """The first two parts of a qualified name, quoted as they are."""
    return ".".join(match[0] for match in list(NAME.finditer(identity))[:2])


def shown(text: str) -> str:
    """Safe between backticks on one line: control and invisible characters are escaped."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain(text))
    return escaped.replace("`", "'")


def noun(kind: str, identity: str, facts: dict[str, Any]) -> str:
    """What a sentence calls an object: "index `idx_subscriptions_user`"."""
    if kind == "constraint":
        return f"{NOUNS.get(str(facts.get('definition', '')).split(' ')[0], kind)} `{shown(identity)}`"
    if kind in ("owner", "privileges", "comment", "security label"):
        about, link = facts["kind"], "of" if kind == "owner" else "on"
        short = {"table column": "column", "table constraint": "constraint"}.get(about, about)
        return f"{kind} {link} {short} `{shown(identity[len(about) + 1 :])}`"
    if kind == "default privileges":
        return f"default privileges `{shown(identity)}`"
    return (
        f"{'setting' if kind == 'settings' else kind} `{shown(identity)}`"
        if kind != "column order"
        else (f"column order of `{shown(identity)}`")
    )


def phrases(kind: str, identity: str, old: dict[str, Any], new: dict[str, Any]) -> tuple[list[str], bool]:
    """How the facts differ, in words, and whether any of it is harmful."""
    secret = kind == "user mapping" or (kind == "settings" and "." in identity)
    found, harmful = [], False
    for fact in sorted(old.keys() | new.keys()):
        was, now = old.get(fact), new.get(fact)
        if was == now or (fact == "table" and kind in ("owner", "privileges")):
            continue
        if fact == "body" and old.get("language") in ("sql", "plpgsql") and squeezed(str(was)) == squeezed(str(now)):
            found.append("differs in the white space of its body")
            continue
        harmful = harmful or fact != "null constraint name"
        found.append(f"has {other(fact)}" if secret else phrase(fact, was, now))
    return found, harmful


def other(fact: str) -> str:
    """That a fact is not the same, where its value is not shown."""
    return f"other {fact}" if fact.endswith("s") and not fact.endswith("ss") else f"another {fact}"


def phrase(fact: str, was: object, now: object) -> str:
    """One fact, before and after."""
    if fact == "null":
        return f"is {now or 'nullable'}, was {was or 'nullable'}"
    before, after = ("" if value is None else shown(text_of(value)) for value in (was, now))
    if (
        max(len(before), len(after)) > LONGEST
        or fact in ("body", "text")
        or (fact == "definition" and "SELECT" in after)
    ):
        return f"has {other(fact)}" if before and after else f"has {'a' if after else 'no'} {fact}"
    if was is None:
        return f"has {fact} `{after}`, had none"
    if now is None:
        return f"has no {fact}, had `{before}`"
    if fact in ("type", "value"):
        return f"is `{after}`, was `{before}`"
    return f"has {fact} `{after}`, had `{before}`"


def text_of(value: object) -> str:
    """A fact as SQL would show it."""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def privileges(name: str, old: Collection[str], new: Collection[str]) -> str:
    """Which privileges are missing and which are additional, by role; `old` and `new` are lists of aclitem."""
    before, after = held(old), held(new)
    parts = [
        f"{word} {', '.join(f'`{p}`' for p in sorted(which))} for {role}"
        for word, one, other in (("missing", before, after), ("additional", after, before))
        for role in sorted(one)
        if (which := one[role] - other.get(role, set()))
    ]
    return f"{name} differ: {'; '.join(parts) or 'another grantor'}"


def held(items: Collection[str]) -> dict[str, set[str]]:
    """Privileges by role, as the words of GRANT."""
    roles: dict[str, set[str]] = {}
    for item in items:
        if match := ACL_ITEM.match(item):
            role = f"`{shown(match[1])}`" if match[1] else "everybody"
            found = re.findall(r"([A-Za-z])(\*?)", match[2])
            rights = {LETTERS.get(letter, letter) + (" WITH GRANT OPTION" if star else "") for letter, star in found}
            roles.setdefault(role, set()).update(rights)
    return roles


def generated(kind: str, identity: str, table: str | None) -> str | None:
    """The label (`check`, `fkey`, ...) of a name that PostgreSQL chose itself, else None.

    ChooseConstraintName and ChooseIndexName (PostgreSQL, src/backend/commands): table, columns, label, number.
    """
    if kind not in ("constraint", "domain constraint", "index"):
        return None
    parts = names(identity)
    match = GENERATED.search(parts[-1])
    owner = parts[1] if kind == "domain constraint" else names(table or "")[-1:] and names(table or "")[-1]
    if match is None or not owner:
        return None
    whole_name = parts[-1].startswith(f"{owner}_") or len(parts[-1].encode()) >= TRUNCATED
    return match[1] if whole_name else None


def squeezed(body: str) -> str:
    """A body with each white space as one blank; strings, quoted names and the ends of `--` comments stay."""

    def one(match: re.Match[str]) -> str:
        if match["space"]:
            return " "
        return match[0].rstrip() + "\n" if match["line"] else match[0]

    return SQL_TOKEN.sub(one, body).strip()


def canonical(text: str) -> str:
    """The one form of `varchar IN (...)`: PostgreSQL prints a cast array, but after a restore an array of casts.

    `(ARRAY['a'::character varying, 'b'::character varying])::text[]` becomes
    `ARRAY[('a'::character varying)::text, ('b'::character varying)::text]`.
    """
    start = text.find("(ARRAY[")
    while start >= 0:
        items, end = array_items(text, start + len("(ARRAY["))
        cast = re.compile(r"\]\)::(\w[\w ]*)\[\]").match(text, end)
        if cast:
            text = f"{text[:start]}ARRAY[{', '.join(f'({item})::{cast[1]}' for item in items)}]{text[cast.end() :]}"
        start = text.find("(ARRAY[", start + 1)
    return text


def array_items(text: str, start: int) -> tuple[list[str], int]:
    """The elements of an array constructor from `start`, and the position of its closing bracket."""
    items: list[str] = []
    depth, quoted, begin = 0, False, start
    for at in range(start, len(text)):
        char = text[at]
        if char == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif char in "([":
            depth += 1
        elif char == "]" and depth == 0:
            return [*items, text[begin:at]], at
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            items.append(text[begin:at])
            begin = at + 2
    return items, start
