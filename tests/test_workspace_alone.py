"""`python -m demo.workspace`, with the very app that docs/workspace.md shows."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from docs_reading import ROOT, blocks

from demo.workspace import Workspace, WorkspaceError, manifest

KEPT = {
    name: os.environ[name]
    for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "COVERAGE_PROCESS_START")
    if name in os.environ
}


def workspace(*words: str) -> subprocess.Popen[str]:
    """The program, started."""
    command = [sys.executable, "-m", "demo.workspace", *words]
    return subprocess.Popen(command, cwd=ROOT, env=KEPT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def running(started: subprocess.Popen[str]) -> Iterator[None]:
    """Ended by SIGTERM, whatever comes."""
    try:
        yield
    finally:
        started.terminate()
        with suppress(subprocess.TimeoutExpired):
            started.communicate(timeout=20)
        started.kill()


def told(started: subprocess.Popen[str]) -> dict[str, str]:
    """The settings that it prints, and `page`: the address to open."""
    assert started.stdout
    lines = [started.stdout.readline().strip() for _ in range(5)]
    return dict(line.split("=", 1) for line in lines[:4]) | {"page": lines[4].removeprefix("# Open ")}


def address(page: str, path: str) -> str:
    """Where Ana's page asks its server."""
    return page.replace("/?", f"{path}?") + "&as=U0ANA"


def heard(page: str) -> list[str]:
    """What has been said in #random."""
    return [each["text"] for each in ask(page, "/page/state")["messages"]["C0RANDOM"]]


def ask(page: str, path: str, **body: Any) -> dict[str, Any]:
    """What Ana's page asks of its server."""
    data = json.dumps({"as": "U0ANA", **body}).encode() if body else None
    with urllib.request.urlopen(address(page, path), data) as answer:  # noqa: S310 - ours
        got: dict[str, Any] = json.load(answer)
        return got


def test_the_app_of_the_documentation_works_as_it_stands(tmp_path: Path) -> None:
    (code,) = blocks("docs/workspace.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 11
    alone = workspace("--port", "0")
    with running(alone):
        settings = told(alone)
        page = settings.pop("page")
        command = [sys.executable, "-u", "-c", code]
        env, pipe = KEPT | settings, subprocess.PIPE
        app = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=pipe, stderr=pipe, text=True)
        with running(app), urllib.request.urlopen(address(page, "/page/events"), timeout=30) as changes:  # noqa: S310
            assert app.stdout and "is running" in app.stdout.readline()
            assert ask(page, "/page/act", do="command", channel="C0RANDOM", text="/hello there")["ok"]
            said = next(filter(None, (heard(page) for change in changes if change.strip())))
    assert said == ["Hello <@U0ANA>, you said: there"]
    assert alone.returncode == 0


def test_a_taken_port_and_a_wrong_manifest_are_answered(tmp_path: Path) -> None:
    (tmp_path / "manifest.yml").write_text("features: 1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = workspace("--port", str(taken.getsockname()[1]))
        wrong = workspace("--manifest", str(tmp_path / "manifest.yml"))
        ends = [(each.communicate(timeout=30), each.returncode) for each in (busy, wrong)]
    (busy_words, busy_code), (wrong_words, wrong_code) = ends
    assert (busy_code, wrong_code) == (69, 2)
    assert "cannot be used: Address already in use. Say --port with another one." in busy_words[1]
    assert wrong_words[1] == "invalid_manifest: features is no mapping\n"


@pytest.mark.parametrize(
    "word", ["nonsense", "ftp://localhost/", "http://", "http://localhost:port/", "localhost:3000"]
)
def test_a_request_url_that_is_none_is_refused(word: str) -> None:
    wrong = workspace("--port", "0", "--request-url", word)
    _, words = wrong.communicate(timeout=30)
    assert wrong.returncode == 2 and f"{word!r} is no address: http://HOST:PORT/PATH" in words


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("slash_commands: [{command: 7}]", "command of slash_commands is no text: 7"),
        ("slash_commands: [{command: /x, description: [1]}]", "description of slash_commands is no text: [1]"),
        ("slash_commands: [{description: x}]", "each of slash_commands needs command"),
        ("shortcuts: [{name: A, type: 1, callback_id: a}]", "type of shortcuts is no text: 1"),
        ("shortcuts: [{name: A, type: globe, callback_id: a}]", "type of shortcuts is global or message, not globe"),
    ],
)
def test_a_manifest_that_nothing_can_be_made_of_is_refused_with_what_is_wrong(
    tmp_path: Path, features: str, said: str
) -> None:
    (tmp_path / "manifest.yml").write_text(f"features: {{{features}}}")
    with pytest.raises(WorkspaceError) as no:
        manifest.read(tmp_path / "manifest.yml")
    assert (no.value.error, no.value.messages) == ("invalid_manifest", [said])
    (tmp_path / "manifest.yml").write_text("features: {shortcuts: [{name: A, type: global, callback_id: a}]}")
    assert manifest.read(tmp_path / "manifest.yml").shortcuts


@pytest.mark.parametrize("path", ["/page/state?as=U0ANA", "/page/act?as=U0ANA", "/?x=1"])
def test_only_the_parts_of_the_page_itself_are_served_without_its_token(path: str) -> None:
    with Workspace() as slack:
        base = slack.page_url.split("/?")[0]

        def code(address: str, **headers: str) -> int:
            request = urllib.request.Request(base + address, headers=headers)  # noqa: S310 - ours
            try:
                with urllib.request.urlopen(request) as answer:  # noqa: S310
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        assert code(path) in (403, 405)
        assert code("/page/main.js") == 200
        assert code("/page/main.js", Host="workspace.example") == 404
        assert [code(f"/page/{name}") for name in ("..%2fpage.py", "page.py", "none.js", "%2e%2e/manifest.py")] == [
            404
        ] * 4
