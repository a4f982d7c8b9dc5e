"""Help in the shell: one page for each verb, held against the grammar, the exit codes and the settings."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from core.check.command import FLAGS as OF_CHECK
from core.completion import arguments
from core.errors import EXIT
from core.grammar import FLAGS, parse_words
from core.lines import width
from core.manual import EVERYWHERE, GROUPS, HEADINGS, PAGES, brief, of_verb, read, text, usage, whole
from core.manual.man import page
from core.shell import CODES
from core.verbs import VERBS
from demo.bench import ROOT

CODES_TOLD = {*map(str, {*EXIT.values(), *CODES.values()}), "130", "141"}


def said(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`rollback …` where nothing is set, off a terminal."""
    line, env = [sys.executable, "-m", "core", *words], {"PATH": os.environ["PATH"], **env}
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30)


def test_every_verb_is_in_one_group_and_has_a_page() -> None:
    grouped = [verb for verbs in GROUPS.values() for verb in verbs]
    assert sorted(grouped) == sorted(VERBS)
    assert {path.stem for path in PAGES.iterdir()} == {*VERBS, "rollback"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_page_says_what_it_does_and_every_flag_that_there_is(verb: str) -> None:
    found = of_verb(verb)
    assert found["USAGE"] == [("", usage(verb))] and all(meaning for _, meaning in found["ABOUT"])
    flags = [term.split()[0] for term, _ in read(verb).get("FLAGS", ())]
    own = {"check": {*OF_CHECK}, "help": {"man"}, "plan": {"on", "only"}}.get(verb, FLAGS.get(verb, frozenset()))
    assert {flag[2:] for flag in flags} == set(own) == arguments(verb).keys() - {"json"}, verb
    for heading, rows in found.items():
        assert heading in ("", "ABOUT", *HEADINGS)
        assert all(meaning.endswith((".", ";", ")")) or heading in ("", "USAGE") for _, meaning in rows), (
            verb,
            heading,
        )


@pytest.mark.parametrize("verb", ["rollback", *VERBS])
def test_every_example_of_a_page_is_understood(verb: str) -> None:
    rows = read(verb)["EXAMPLES"]
    assert rows
    for typed, meaning in rows:
        words = shlex.split(typed.partition(">")[0])
        assert words[0] == "rollback" and meaning
        if words[1] not in ("check", "guard", "help"):  # these have a reader of their own
            command = parse_words(words[1:])
            assert verb in (command.verb, "rollback"), typed


def test_the_exit_codes_are_those_that_the_shell_gives() -> None:
    assert [code for code, _ in read("rollback")["EXIT CODES"]] == sorted(CODES_TOLD, key=int)
    for verb in VERBS:
        told = [code for code, _ in read(verb)["EXIT CODES"]]
        assert told and {*told} <= CODES_TOLD and told == sorted(told, key=int), verb


def test_what_a_page_refers_to_is_there() -> None:
    for verb in ("rollback", *VERBS):
        page_ = (PAGES / f"{verb}.txt").read_text(encoding="utf-8")
        assert all((ROOT / name).is_file() for name in re.findall(r"docs/[\w-]+\.md", page_)), verb
        assert all(name in VERBS for name in re.findall(r"`rollback help ([a-z-]+)`", page_)), verb


def test_help_is_asked_for_in_every_way() -> None:
    whole_ = said("--help")
    assert (whole_.returncode, whole_.stderr) == (0, "")
    assert whole_.stdout == said("-h").stdout == said("help").stdout
    assert all(re.search(rf"^  {verb}\b", whole_.stdout, re.M) for verb in VERBS.keys() - {"request"})
    of_deny = said("help", "deny")
    assert of_deny.stdout.startswith("rollback deny: say no to a plan, and why\n")
    assert of_deny.stdout == said("deny", "--help").stdout == said("deny", "RB-7K3M", "-h").stdout
    assert said("cancel", "-h").stdout == said("help", "stop").stdout
    assert said("011", "--help").stdout == said("help", "request").stdout == said("latest", "-h").stdout
    bare = said()
    assert bare.returncode == 2 and bare.stdout.endswith("everything about one verb.\n")
    assert said("--version").stdout.startswith("rollback-bot ")


@pytest.mark.parametrize(("word", "near"), [("delet", "deny"), ("hisotry", "history"), ("aprove", "approve")])
def test_help_for_a_word_that_is_close_to_a_verb_names_the_verb(word: str, near: str) -> None:
    for words in (["help", word], [word, "--help"], [word]):
        done = said(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"Did you mean `{near}`? `rollback help` lists all." in done.stderr


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_no_page_is_wider_than_its_columns(columns: int) -> None:
    for sections in (whole(), brief(), *map(of_verb, VERBS)):
        rows = text(sections, columns)
        assert max(map(width, rows)) <= columns
        assert not any(one == two == "" for one, two in pairwise(rows))


def test_columns_are_honoured_off_a_terminal_too() -> None:
    assert max(map(len, said("help", "audit", COLUMNS="50").stdout.splitlines())) <= 50
    assert 70 < max(map(len, said("help", "audit").stdout.splitlines())) <= 80


def test_the_manual_page_is_sound_and_says_the_same(tmp_path: Path) -> None:
    roff = said("help", "--man").stdout
    assert roff == page()
    for verb in VERBS:
        for term, _ in [*read(verb).get("FLAGS", []), *EVERYWHERE]:
            assert f".B {term.replace('-', chr(92) + '-')}\n" in roff
    if not shutil.which("groff"):
        pytest.skip("groff is not installed, which would read the page")
    file = tmp_path / "rollback.1"
    file.write_text(roff)
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": os.environ["PATH"]},
    )
    shown = re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert "rollback reapply RUN [--reason TEXT]" in shown and "EXIT CODES" in shown
