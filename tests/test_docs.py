"""The documentation says what the code does: names, numbers, links and quotes are held against it."""

import ast
import os
import re
from functools import partial
from pathlib import Path

import pytest
import yaml
from docs_reading import CODE, EVERY, LINK, PATHS, ROOT, TEXT, anchors, blocks, rows

from bot.metrics import Metrics
from bot.prepared_metrics import prepared
from bot.vitals import Vitals
from core import ledger
from core.check import VERDICTS
from core.errors import EXIT
from core.grammar import VERBS
from core.layouts import LAYOUTS
from core.model import MOVES, State
from core.settings import Settings, SlackSettings, Target
from core.shell import CODES


def emitted() -> dict[str, str]:
    """Every kind of event that the source writes, and where."""
    found: dict[str, str] = {}
    place = {"append": 1, "move": 2, "_move": 2, "say": 0}
    for path in sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "bot").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if not isinstance(node, ast.Call) or name not in place:
                continue
            alone = name == "append" and ast.unparse(node.func).endswith("ledger.append")  # of no run, by itself
            at = 0 if alone else place[name]
            if len(node.args) <= at:
                continue
            kind = node.args[at]
            if isinstance(kind, ast.Constant) and isinstance(kind.value, str) and re.fullmatch(r"[a-z_]+", kind.value):
                found[kind.value] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


# -- links, files, targets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(name: str) -> None:
    for match in LINK.finditer(TEXT[name]):
        link = match[1] or match[2]
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", EVERY)
def test_every_file_that_is_named_exists(name: str) -> None:
    for path in PATHS.findall(TEXT[name]):
        assert (ROOT / path).exists(), path


def test_every_document_can_be_reached_from_the_readme() -> None:
    seen, todo = set[str](), ["README.md"]
    while todo:
        name = todo.pop()
        if name not in seen and name in TEXT:
            seen.add(name)
            found = (match[1] for match in LINK.finditer(TEXT[name]) if match[1] and "://" not in match[1])
            todo += [os.path.relpath((ROOT / name).parent / link.partition("#")[0], ROOT) for link in found]
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= seen


@pytest.mark.parametrize("name", EVERY)
def test_every_make_target_and_option_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", TEXT[name], re.MULTILINE)) <= targets


@pytest.mark.parametrize("name", EVERY)
def test_nothing_speaks_of_files_and_commands_that_are_not_there(name: str) -> None:
    for word in (
        "ROLLBACK_LEDGER_URL",
        "TODO",
    ):
        assert word not in TEXT[name], word


# -- words and numbers of the code -------------------------------------------------------------------------


def test_every_verb_has_a_row_and_no_row_is_made_up() -> None:
    told = [word for row in rows("docs/commands.md", "## Verbs") for word in re.findall(r"`([a-z][a-z-]*)", row[0])]
    assert set(told) - {"latest", "to"} == VERBS.keys()
    for verb in VERBS.keys() - {"request"}:
        assert f"`{verb}" in TEXT["README.md"], verb


def test_every_verdict_and_layout_of_check_is_named() -> None:
    part = TEXT["docs/commands.md"].split("\n## check\n")[1].split("\n## ")[0]
    assert VERBS["check"][0] in part
    assert {f"`{name}`" for name in (*VERDICTS, *LAYOUTS)} <= set(re.findall(r"`[\w-]+`", part))


def test_every_exit_code_is_told_in_readme_and_commands() -> None:
    told = {int(row[0]) for row in rows("docs/commands.md", "## In the shell")}
    assert {*EXIT.values(), *CODES.values()} <= told
    part = TEXT["README.md"].split("Exit codes of the shell:")[1].split("\n\n")[0]
    assert {*EXIT.values(), *CODES.values()} == {
        int(code) for code in re.findall(r"(?:^|; )\s*(\d+) ", part.replace("\n", " "))
    }


def test_every_error_code_has_a_row_with_its_exit_code_a_meaning_and_a_next_step() -> None:
    table = rows("docs/commands.md", "## Error codes")
    assert {row[0]: int(row[1]) for row in table} == EXIT
    assert [row[0] for row in table] == list(EXIT)
    assert all(len(row) == 4 and all(row) for row in table)


@pytest.mark.parametrize("name", EVERY)
def test_no_error_code_is_made_up(name: str) -> None:
    assert set(CODE.findall(TEXT[name])) <= set(EXIT)


def test_every_kind_of_event_in_the_source_is_described_and_no_other() -> None:
    found = emitted()
    assert len(found) > 20, "the search has lost its way"
    told = {row[0].strip("`") for row in rows("docs/ledger.md", "## Kinds of events")}
    assert told == set(found), set(found) ^ told


def test_every_metric_is_described_and_no_other(tmp_path: Path) -> None:
    trail = ledger.Ledger(tmp_path / "ledger.db")
    more = partial(prepared, trail, Settings())
    page = Metrics(trail, Vitals(), lambda: (True, 0.0), more).text().decode()
    trail.close()
    made = set(re.findall(r"^# TYPE (rollback_\w+)", page, re.MULTILINE))
    assert set(re.findall(r"^\| `(rollback_\w+)", TEXT["docs/operating.md"], re.MULTILINE)) == made


def test_every_state_is_described() -> None:
    told = {
        word
        for row in rows("docs/operating.md", "## What the card says, and what you can do")
        for word in re.findall(r"`(\w+)`", row[0])
    }
    assert told == {str(state) for state in State}
    for state in State:
        assert f"`{state}`" in TEXT["docs/ledger.md"]


def test_the_table_of_states_shows_only_moves_that_are_allowed() -> None:
    moves = [
        (State(start.strip("`")), State(end))
        for start, ends in rows("docs/architecture.md", "## States")
        for end in re.findall(r"`(\w+)`", ends)
    ]
    assert len(moves) > 25
    assert [(start, end) for start, end in moves if end not in MOVES[start]] == []
    assert {state for move in moves for state in move} == set(State)


def test_every_table_and_column_of_the_ledger_is_named(tmp_path: Path) -> None:
    trail = ledger.Ledger(tmp_path / "ledger.db")
    told = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in rows("docs/ledger.md", "## Tables")}
    there = {table.name: [c.name for c in table.columns] for table in trail.db.tables if not table.name.startswith("_")}
    trail.close()
    assert told == there


def test_the_runbook_is_quoted_as_it_stands() -> None:
    source = (ROOT / "core/roll_back.py").read_text(encoding="utf-8")
    (quoted,) = blocks("docs/architecture.md", "python")
    assert quoted.strip() == source[source.index("ROLL_BACK =") :].strip()


def test_the_scopes_are_those_of_the_manifest() -> None:
    scopes = yaml.safe_load((ROOT / "manifest.yml").read_text())["oauth_config"]["scopes"]["bot"]
    assert [row[0].strip("`") for row in rows("docs/install.md", "## 1. The Slack app")] == scopes


def test_the_settings_of_the_readme_exist() -> None:
    known = {*Target.__dataclass_fields__, *Settings.__dataclass_fields__, *SlackSettings.__dataclass_fields__}
    for keys, variables, _ in rows("README.md", "## Settings that matter most"):
        assert set(re.findall(r"`(\w+)`", keys)) <= known
        assert all(f"`{name}`" in TEXT["docs/settings.md"] for name in re.findall(r"`(\w+)`", variables))


def test_the_transcript_is_made_of_sentences_that_the_bot_says_today() -> None:
    (story,) = [part for part in blocks("README.md", "") if "Ana Diaz" in part]
    golden = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests/golden").glob("*.txt"))
    for words in (
        "point of no return: the approval and steps 1 to 4 must be there",
        "so somebody else must approve it. Your click was not counted.",
        "Saved first, under the lock, so that *Re-apply* can put it back",
    ):
        assert words in story
        assert words in golden or words in "".join(p.read_text() for p in (ROOT / "bot/messages").glob("*.py")), words
