"""What the settings of backups may be to each other; each fault stands at the key that should change."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from docs_reading import blocks

from core.config import ConfigError, load
from core.settings import Backup, Encrypt, Target

HEAD = '[targets.production]\ndatabase_url = "postgresql://localhost/app"\napprovals = 0\n'


def read(folder: Path, text: str) -> Target:
    file = folder / "rollback.toml"
    file.write_text(HEAD + text)
    return load(file, {}).target()


@pytest.mark.parametrize(
    ("text", "backup"),
    [
        ("", Backup()),
        ('backup = { kind = "dump", format = "directory", jobs = 4 }', Backup(format="directory", jobs=4)),
        (
            'backup = { kind = "scoped", verified = ["age-of-backup", "main"], max_age = "36 h" }',
            Backup("scoped", verified=("age-of-backup", "main"), max_age=timedelta(hours=36)),
        ),
        (
            'backup = { kind = "command", take = ["take"], verify = ["verify"], restore_point = false, timeout = "2 h" }',
            Backup("command", take=("take",), verify=("verify",), restore_point=False, timeout=timedelta(hours=2)),
        ),
    ],
)
def test_each_kind_is_read(tmp_path: Path, text: str, backup: Backup) -> None:
    found = read(tmp_path, text)
    assert found.backup == backup and found.encrypt is None


def test_the_environment_can_say_it_too(tmp_path: Path) -> None:
    file = tmp_path / "rollback.toml"
    file.write_text(HEAD)
    env = {
        "ROLLBACK_BACKUP__KIND": "command",
        "ROLLBACK_BACKUP__TAKE": "take,full",
        "ROLLBACK_BACKUP__RESTORE_POINT": "no",
    }
    assert load(file, env).target().backup == Backup("command", take=("take", "full"), restore_point=False)


@pytest.mark.parametrize("text", blocks("docs/backups.md", "toml"))
def test_the_examples_of_the_documentation_load(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text.removeprefix("[targets.production]\n"))
    assert found.backup != Backup() or found.encrypt or 'kind = "dump"' in text


def test_the_key_of_an_encryption_is_a_path_beside_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, 'encrypt = { tool = "age", recipient = "age1abc", identity = "keys/age.txt" }')
    assert found.encrypt == Encrypt("age", "age1abc", tmp_path / "keys/age.txt")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('backup = { kind = "nightly" }', '`targets.production.backup.kind` must be "dump" or "scoped" or "command"'),
        ('backup = { kind = "scoped" }', "`targets.production.backup.verified` is missing; the kind `scoped` needs it"),
        ('backup = { kind = "command" }', "`targets.production.backup.take` is missing; the kind `command` needs it"),
        ('backup = { take = ["x"] }', "`targets.production.backup.take` has no effect with the kind `dump`"),
        (
            'backup = { kind = "scoped", verified = ["x"], format = "directory" }',
            "backup.format` has no effect with the kind",
        ),
        ("backup = { jobs = 4 }", '`targets.production.backup.jobs` has no effect with the format "custom"'),
        ("backup = { jobs = 99 }", "`targets.production.backup.jobs` must be a whole number from 1 to 16"),
        ('backup = { kind = "command", take = ["x"], restore_point = 7 }', "restore_point` must be true or false"),
        (
            'encrypt = { tool = "zip", recipient = "x", identity = "y" }',
            '`targets.production.encrypt.tool` must be "age" or "gpg"',
        ),
        ('encrypt = { tool = "age", recipient = "x" }', "`targets.production.encrypt.identity` is missing"),
        ('encrypt = { identity = "y" }', "`targets.production.encrypt.recipient` is missing"),
        (
            'backup = { format = "directory" }\nencrypt = { tool = "age", recipient = "x", identity = "y" }',
            '`targets.production.backup.format` must be "custom" where `encrypt` is set',
        ),
    ],
)
def test_what_cannot_be_is_said_at_its_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert told in str(caught.value) and "line 4" in str(caught.value)
