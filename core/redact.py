"""The funnel for everything that leaves the program: logs, channel, shell, audit trail.

`install` gives it the secrets of the settings. `clean` is for sentences (errors, reasons, what programs print): by value
and by shape. `clean_all` is for whole messages on their way out: by value alone, since a script that is to be approved
could hide code behind a shape (`password=DROP…`).

Secrets are taken out by value, in every spelling in which libraries print them, and by shape (`user:password@`,
Slack's tokens), since a message may hold a secret that no setting names. Characters that deceive a reader are shown.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

if TYPE_CHECKING:
    import psycopg

    from core.config import Settings

MASK = "•••"
SHORTEST = 4
"""Characters. A shorter secret is only taken out by shape: by value it would blot out ordinary words."""

LEAST = 8
"""Characters of a value that only its variable's name makes a secret: `…_TOKEN_CHECK=true` is none."""

SHAPES = (
    re.compile(r"(?<=://)[^\s/@:]*:(?!\d+(?:[/\"',]|$))[^\s\"'<>|]*@"),
    re.compile(r"(?i)\b(?:ssl)?password\s*=\s*(?:'(?:\\.|[^'\\])*'|[^\s'&]+)"),
    re.compile(r"\bxox[a-z](?:\.xox[a-z])?-[\w-]+|\bxapp-[\w-]+"),
    re.compile(r"https://hooks\.slack\.com/\S+"),
    re.compile(r"(?i)\botpauth://[^\s\"'<>|]+"),
    re.compile(r"\b[A-Z0-9_]*(?:PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_KEY)[A-Z0-9_]*=\S+"),
    re.compile(r"(?i)[\"'](?:password|secret|token)[\"']\s*:\s*(?:\"[^\"]*\"|'[^']*')"),
)
SECRET_NAME = re.compile(r"(?i)passw|secret|token|credential|api_?key|access_?key")
"""Variables of our environment whose value is nobody's business, whatever program put it there."""
PASSWORD = re.compile(r"^[a-z][a-z0-9+.-]*://[^/@:]*:([^@]*)@")
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | {
    chr(code) for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}
"""Blank, although Unicode calls them letters, symbols or marks; the ranges are variation selectors."""


class SecretStr:
    """A text that shows itself only to `get_secret_value()`; the same face as pydantic's, without its import."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "SecretStr('•••')"

    def __str__(self) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Redactor:
    """Replaces known secrets, and what looks like one, by `•••`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets`: passwords and tokens; of a URL give `passwords(url)`."""
        self._secrets = tuple(secrets)
        found = {form for secret in self._secrets for form in spellings(secret)}
        known = sorted((s for s in found if len(s) >= SHORTEST), key=lambda s: (-len(s), s))
        self._known = re.compile("|".join(re.escape(s) for s in known)) if known else None

    @classmethod
    def of(cls, settings: Settings, env: Mapping[str, str] = os.environ) -> Redactor:
        """Every secret in the settings, and what our environment calls one (PGPASSWORD, AWS_SECRET_ACCESS_KEY)."""
        slack = settings.slack
        tokens = [s for s in (slack.bot_token, slack.app_token, slack.signing_secret) if s is not None]
        secrets = [env.get("PGPASSWORD", ""), *(s.get_secret_value() for s in tokens), *passwords(slack.api_url)]
        for name, value in env.items():
            if "://" in value:
                secrets += passwords(value)
            elif SECRET_NAME.search(name) and len(value) >= LEAST:
                secrets.append(value)
        for target in settings.targets.values():
            for url in (target.database_url, target.scratch_url, target.admin_url):
                secrets += passwords(url.get_secret_value() if url is not None else "")
            secrets += passwords(target.health_url or "")
        from core.errors import Problem  # which cleans its own words here
        from core.secrets_file import SecretsFile

        with suppress(Problem):  # who needs one of them will say what is wrong with the file
            secrets += SecretsFile(settings.ledger).read().values()
        return cls(secrets)

    def holds(self, text: str) -> bool:
        """Does a script hold a secret of ours? Words that might be names do not count."""
        return any(not secret.isalpha() and len(secret) >= LEAST and secret in text for secret in self._secrets)

    def known(self, text: str) -> str:
        """The text without the secrets that we know."""
        return self._known.sub(MASK, text) if self._known is not None else text

    def redact(self, text: str) -> str:
        """The text without secrets."""
        text = self.known(text)
        for shape in SHAPES:
            text = shape.sub(lambda m: MASK + ("@" if m[0].endswith("@") else ""), text)
        return text


_funnel = Redactor()


def install(funnel: Redactor) -> None:
    """From now on these secrets leave by no way."""
    global _funnel
    _funnel = funnel


def holds_secret(text: str) -> bool:
    """Is there one of our own secrets in it?"""
    return _funnel.holds(text)


def clean(text: str) -> str:
    """A sentence without secrets."""
    return _funnel.redact(text)


def known(text: str) -> str:
    """A text without the secrets that we know; before anything is changed in it, or they would not be known again."""
    return _funnel.known(text)


def clean_all(value: Any, one: Callable[[str], str] | None = None) -> Any:
    """The same value, with every text in it passed through `one` (without it: known secrets are taken out)."""
    one = one or _funnel.known
    if isinstance(value, str):
        return one(value)
    if isinstance(value, Mapping):
        return {key: clean_all(inner, one) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_all(inner, one) for inner in value]
    return value


def passwords(url: str) -> list[str]:
    """The passwords in a URL or a libpq connection string, as written there and as meant."""
    found = [m[1] for m in [PASSWORD.match(url)] if m]
    if "password" in url and not url.startswith("http"):
        found += from_libpq(url)
    return found


def from_libpq(conninfo: str) -> list[str]:
    """Passwords in a connection string; all of it where libpq cannot read it."""
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        fields = conninfo_to_dict(conninfo)
    except (Error, UnicodeError):
        return [conninfo]
    return [str(fields[key]) for key in ("password", "sslpassword") if fields.get(key)]


def spellings(secret: str) -> set[str]:
    """The ways in which a URL, JSON, Python's repr, libpq and Slack's escaping write one secret."""
    plain = {secret, unquote(secret)}
    forms = set(plain)
    for text in plain:
        encoded = {quote(text, safe=""), quote(text), quote_plus(text)}
        forms |= encoded | {re.sub(r"%[0-9A-F]{2}", lambda m: m[0].lower(), e) for e in encoded}
        forms |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
        forms.add(text.replace("\\", "\\\\").replace("'", "\\'"))
        forms.add(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return forms


def visible(text: str) -> str:
    """The text with control, bidi, zero-width and other invisible characters written as `\\u202e`.

    Line breaks and tabs stay; CR LF becomes LF. Ordinary spaces of other scripts stay.
    """
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return text.translate(_SHOWN)


class _Shown(dict[int, str]):
    """Code point -> how it is shown; each is looked at once."""

    def __missing__(self, code: int) -> str:
        ch = chr(code)
        self[code] = shown = ch if _plain(ch) else _named(ch)
        return shown


_SHOWN = _Shown()


def _plain(ch: str) -> bool:
    if ch in "\n\t":
        return True
    return (ch.isprintable() or unicodedata.category(ch) == "Zs") and ch not in INVISIBLE


def _named(ch: str) -> str:
    code = ord(ch)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


RAISED = ("exec_stmt_raise", "exec_stmt_assert")
"""Where the server makes an error of PL/pgSQL's RAISE and ASSERT (src/pl/plpgsql/src/pl_exec.c): the text is the script's."""
NOT_SHOWN = (
    "an error that a script, function or trigger raises itself; its words are not shown, they may hold row content"
)


def pg_error(exc: psycopg.Error, statement: str = "") -> str:
    """`42P01 relation "plans" does not exist`: SQLSTATE and first line, at most 200 characters.

    DETAIL and CONTEXT hold row content and are left out; so are the values of data exceptions (class 22,
    `invalid input syntax for type integer: "…"`), and what PL/pgSQL raises unless `statement` has it word for word.
    Where no server answered, the reason alone: libpq puts paths and pieces of malformed URLs around it.
    """
    state = exc.sqlstate or ""
    said = exc.diag.message_primary
    if not said:
        said = _unreachable(exc)
    line = next(iter(said.strip().splitlines()), "")
    if exc.diag.source_function in RAISED and said.replace("'", "''") not in statement:
        line = NOT_SHOWN
    if state.startswith("22"):
        line = without_values(line)
    line = clean(visible(" ".join(f"{state} {line}".split())))
    return line if len(line) <= 200 else line[:199] + "…"


def without_values(line: str) -> str:
    """A complaint about a value, without the value."""
    return re.sub(r"0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*", "…", re.sub(r'".*"', '"…"', line))


def _unreachable(exc: psycopg.Error) -> str:
    from psycopg import ProgrammingError

    if isinstance(exc, ProgrammingError):  # raised by psycopg itself: its text quotes the connection string
        return "the connection settings or the query were not understood"
    first = next(iter(str(exc).strip().splitlines()), "")
    reason = re.split(r"failed: (?:FATAL: +)?", first)[-1].strip()
    return reason or "no reason given"
