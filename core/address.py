"""Which database does a connection string name? Read without connecting, and without ever printing it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

# The plain form, which libpq reads exactly so (a test compares). Importing psycopg for it would cost 80 ms.
PLAIN = re.compile(
    r"""postgres(?:ql)?://
    (?:(?P<user>(?:[\w.~+-]|%(?!00)[0-7][0-9A-Fa-f])+)(?::(?P<password>(?:[\w.~!$*+=^-]|%(?!00)[0-7][0-9A-Fa-f])*))?@)?
    (?P<host>[\w.-]*)(?::(?P<port>\d{1,5}))?
    (?:/(?P<dbname>[\w.~-]*))?(?:\?sslmode=(?P<sslmode>[a-z-]+))?""",
    re.X | re.A,
)
LOOPBACK = frozenset({"", "localhost", "127.0.0.1", "::1"})
MALFORMED = "is not a PostgreSQL URL; in a password write %40 for @, %2F for /, %25 for %"


@dataclass(frozen=True)
class Address:
    """Hosts with ports (one or several, as libpq allows) and the database's name. Loopback is one host."""

    servers: frozenset[tuple[str, str]]
    dbname: str

    def same(self, other: Address) -> bool:
        """Do both name one database? Different names of one host are not recognised."""
        return self.dbname == other.dbname and bool(self.servers & other.servers)


def fields(conninfo: str) -> dict[str, str]:
    """The parts of a URL or `key=value` string. Raises ValueError with a sentence that holds nothing of it."""
    if conninfo.startswith(("postgresql+", "postgres+")):
        raise ValueError("begins with SQLAlchemy's driver name; write postgresql:// alone")
    if "\0" in conninfo:  # C would not see what follows it
        raise ValueError(MALFORMED)
    plain = PLAIN.fullmatch(conninfo)
    read = plain.groupdict() if plain else None
    found = _libpq(conninfo) if read is None else {key: unquote(text) for key, text in read.items() if text}
    ports = [port for port in found.get("port", "").split(",") if port]
    odd = any(not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536 for port in ports)
    # libpq takes what follows an unescaped @ or / in the password for host, port or database
    if odd or "@" in found.get("host", "") or "@" in found.get("dbname", ""):
        raise ValueError(MALFORMED)
    return found


def _libpq(conninfo: str) -> dict[str, str]:
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        found = conninfo_to_dict(conninfo)
    except UnicodeError:
        raise ValueError(MALFORMED) from None
    except Error as error:
        if str(error).startswith("invalid URI query parameter"):
            raise ValueError("has a parameter after `?` that PostgreSQL's library does not know") from None
        raise ValueError(MALFORMED) from None
    return {key: str(value) for key, value in found.items() if value is not None}


def address(conninfo: str, env: Mapping[str, str]) -> Address:
    """Where a connection would go, with libpq's variables for what is left out. Raises ValueError."""
    part = fields(conninfo)
    host = part.get("hostaddr") or part.get("host") or env.get("PGHOSTADDR") or env.get("PGHOST") or ""
    service = part.get("service") or env.get("PGSERVICE")
    if not host and service:
        host = f"service {service}"
    hosts = ["localhost" if name in LOOPBACK else name for name in host.lower().split(",")]
    ports = (part.get("port") or env.get("PGPORT") or "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    user = part.get("user") or env.get("PGUSER") or _account()
    name = part.get("dbname") or env.get("PGDATABASE") or user
    return Address(frozenset((h, p or "5432") for h, p in zip(hosts, ports, strict=False)), name)


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's number without a name
        return ""
