"""What `rollback init` finds around it: migrations, services, a repository, variables, client programs. Only looked at.

Of variables and of `.env` the names alone are read further than a line: no value leaves this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core import layouts, pgtools
from core.config_rules import LIBPQ
from core.errors import Refused

VARIABLES = (
    "DATABASE_URL", "TEST_DATABASE_URL", "TEST_DB", "API_BASE_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET",
    *LIBPQ,
)  # fmt: skip
"""Those that the settings know."""
SKIPPED = frozenset(
    {"node_modules", "vendor", "venv", "site-packages", "dist", "build", "target", "__pycache__", "rollback"}
)
"""Folders that hold no migrations of the project's own, or only one half of them."""
UNLIKELY = frozenset({"test", "tests", "testdata", "fixtures", "examples", "example", "demo"})
DEEPEST, MOST = 6, 4000  # levels below the project, and folders that are looked at
SCRIPT = re.compile(r"[0-9]+.*\.sql")
COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
STORES = re.compile(
    r"image:\s*['\"]?(?:[\w./:-]*/)?(?:postg|timescale|pgvector|pgbouncer|pgadmin|adminer|redis|valkey|memcached|rabbitmq|nats|kafka|"
    r"minio|mysql|mariadb|mongo|elastic|opensearch|grafana|prom/|prometheus|mailhog|mailpit|traefik|nginx|caddy|rollback-bot)"
)
"""Images of what keeps data, or stands before the application: a restore need not stop these."""


@dataclass(frozen=True)
class Migrations:
    """A folder that looks like one of migrations, and the layouts that its files may have: one, or more to choose from."""

    folder: Path
    layouts: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Around:
    """What was found. `variables`: names that are set; `dotenv`: names that `.env` here would set."""

    migrations: tuple[Migrations, ...]
    variables: frozenset[str]
    dotenv: frozenset[str]
    compose: Path | None
    services: tuple[str, ...]
    repository: Path | None
    tools: tuple[int, ...]


def look(here: Path, env: Mapping[str, str], named: Path | None = None) -> Around:
    """Look around. `named`: the folder of the migrations. Raises Refused(E-CONFIG, E-FILE-MISSING) where that is none."""
    repository = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)
    found = (of_folder(named, layouts.detect(named)),) if named else tuple(search(here))
    if not found and not named and repository and repository != here:
        found = tuple(search(repository))
    bases = dict.fromkeys((here, repository or here))
    compose = next((base / name for base in bases for name in COMPOSE if (base / name).is_file()), None)
    return Around(
        found,
        frozenset(name for name in VARIABLES if env.get(name) or env.get(f"{name}_FILE")),
        frozenset(dotenv(here / ".env")),
        compose,
        tuple(services(readable(compose))) if compose else (),
        repository,
        tuple(sorted({tools.major for tools in pgtools.installed()})),
    )


def search(base: Path) -> list[Migrations]:
    """Folders of migrations below a project, the likeliest first."""
    found = []
    for folder in folders(base):
        try:
            fitting = layouts.fitting(folder)
        except Refused:
            continue
        if len(fitting) > 1:
            fitting = [detected] if (detected := detect(folder)) else fitting
        if fitting:
            found.append(of_folder(folder, *fitting))
    return sorted(
        found, key=lambda one: (bool(UNLIKELY & {*one.folder.relative_to(base).parts}), len(one.folder.parts))
    )


def folders(base: Path) -> Iterator[Path]:
    """Those that hold SQL files with a number, or folders with an up.sql."""
    for seen, (place, below, files) in enumerate(os.walk(base)):
        folder = Path(place)
        depth = len(folder.relative_to(base).parts)
        if any(map(SCRIPT.fullmatch, files)) or any((folder / name / "up.sql").is_file() for name in below[:MOST]):
            yield folder
        below[:] = sorted(n for n in below if not n.startswith(".") and n not in SKIPPED) if depth < DEEPEST else []
        if seen > MOST:
            return


def detect(folder: Path) -> str:
    """The layout that the project's own manifest tells, where the files alone do not; empty where nothing does."""
    try:
        return layouts.detect(folder)
    except Refused:
        return ""


def of_folder(folder: Path, *fitting: str) -> Migrations:
    """The folder with how many migrations it holds."""
    return Migrations(folder, fitting, len(layouts.layout_for(folder, fitting[0]).read()))


def services(text: str) -> Iterator[str]:
    """Names of the services of a compose file that may write to the database. Written in YAML's usual block form."""
    body = re.search(r"^services:[ \t]*(?:#.*)?\n((?:[ \t]+.*\n|[ \t]*(?:#.*)?\n)*)", f"{text}\n", re.M)
    parts = re.split(r"^([ \t]+)(?=\S)", body[1] if body else "", flags=re.M)
    indent = next((parts[at] for at in range(1, len(parts), 2) if not parts[at + 1].startswith("#")), "")
    blocks = re.split(rf"^{indent}(?=[\w'\"])", body[1], flags=re.M)[1:] if body and indent else []
    for block in blocks:
        name = re.match(r"['\"]?([A-Za-z0-9][\w.-]*)['\"]?:", block)
        if name and not STORES.search(block) and name[1] != "rollback-bot":
            yield name[1]


def dotenv(file: Path) -> Iterator[str]:
    """The variables that we know and that a `.env` file sets."""
    names = re.findall(r"^\s*(?:export\s+)?([A-Z_][A-Z0-9_]*)=", readable(file), re.M)
    yield from (name for name in VARIABLES if name in names)


def readable(file: Path) -> str:
    """The text of a file; empty where there is none that can be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
