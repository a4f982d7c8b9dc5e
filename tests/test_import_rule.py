"""demo -> bot -> core, and never back: a room that knows less can be read and tested alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Room -> what it must not import, by the beginning of the module's name.
FORBIDDEN = {
    "core": ("bot", "demo", "tests", "slack", "apscheduler"),
    "bot": ("demo", "tests", "psycopg", "sqlite3", "sqlite_utils"),
    "demo": ("tests",),
}


def imported(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """Every import below `tree`, wherever it stands, as (line, absolute name). `package` holds the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module or "").split(".")] if node.module else base
            yield from ((node.lineno, ".".join([*module, alias.name])) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            # A name that is computed cannot be checked, so it is not allowed.
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            yield node.lineno, name if isinstance(name, str) else "<computed>"


def is_forbidden(name: str, room: str) -> bool:
    """Does `name` lead out of `room` the wrong way? `slack` stands for every `slack_...`."""
    top = name.split(".")[0]
    return top == "<computed>" or any(top == word or top.startswith(f"{word}_") for word in FORBIDDEN[room])


def violations(root: Path) -> list[str]:
    """`file:line imports name` for each import against the rule below `root`."""
    found = []
    for room in FORBIDDEN:
        for path in sorted((root / room).rglob("*.py")):
            where = path.relative_to(root)
            tree = ast.parse(path.read_text(encoding="utf-8"), str(where))
            for line, name in imported(tree, list(where.parent.parts)):
                if is_forbidden(name, room):
                    found.append(f"{where}:{line} imports {name}")
    return found


def test_no_room_imports_one_that_stands_above_it() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("file", "source", "name"),
    [
        ("core/a.py", "import bot", "bot"),
        ("core/a.py", "from slack_sdk.web import WebClient", "slack_sdk.web.WebClient"),
        ("core/a.py", "def f():\n    from apscheduler import events", "apscheduler.events"),
        ("core/a.py", "if TYPE_CHECKING:\n    import bot.messages as m", "bot.messages"),
        ("core/a.py", "import importlib\nx = importlib.import_module('demo.workspace')", "demo.workspace"),
        ("core/a.py", "x = __import__('b' + 'ot')", "<computed>"),
        ("core/steps/a.py", "from ...bot import guard", "bot.guard"),
        ("bot/a.py", "class A:\n    def f(self):\n        import psycopg_pool", "psycopg_pool"),
        ("bot/a.py", "import json, sqlite3", "sqlite3"),
        ("bot/a.py", "from sqlite_utils import Database", "sqlite_utils.Database"),
        ("bot/a.py", "from demo import postgres", "demo.postgres"),
    ],
)
def test_the_rule_finds_a_planted_violation(tmp_path: Path, file: str, source: str, name: str) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(source)
    line = source.count("\n") + 1
    assert violations(tmp_path) == [f"{file}:{line} imports {name}"]


def test_the_rule_lets_pass_what_it_allows(tmp_path: Path) -> None:
    for room in ("core/steps", "bot", "demo"):
        (tmp_path / room).mkdir(parents=True)
    (tmp_path / "core/steps/a.py").write_text("import psycopg\nfrom ..model import Run\nfrom . import b\nimport botany")
    (tmp_path / "bot/a.py").write_text("from core import desk\nfrom .guard import check\nimport slack_bolt")
    (tmp_path / "demo/a.py").write_text("import psycopg\nfrom bot import app\nfrom core import model")
    assert violations(tmp_path) == []
