"""Temporary files have no name for a moment, so no end of the process leaves one behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import temporary

WATCHED = """
import sys
made = []
sys.addaudithook(lambda event, args: made.append(args[0]) if event == "open" and args[2] & 0o100 else None)
from core import temporary
with temporary.nameless() as file:
    file.write(b"x")
print([name for name in made if isinstance(name, str) and name != sys.argv[1]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files without a name")
def test_a_fresh_process_opens_nothing_with_a_name(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-c", WATCHED, str(tmp_path)]
    done = subprocess.run(words, env=env, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout


def test_where_the_named_folder_cannot_be_written_another_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    assert os.access(temporary.folder(), os.W_OK)
    with temporary.nameless() as file:
        file.write(b"x")
