"""docs/settings.md, made from the records."""

from __future__ import annotations

from dataclasses import MISSING, Field
from typing import Any

from core.layers import Key, leaves, own_names
from core.redact import Redactor
from core.settings import Settings, SlackSettings, Target

HEAD = """# Settings

Made from the code by `python -m core.config > docs/settings.md`; do not edit.

A value comes from a flag, else the environment, else the file, else the default.
The file is the one that `ROLLBACK_CONFIG` names, or `rollback.toml` in the working directory, or
`rollback/rollback.toml` below `$XDG_CONFIG_HOME` (`~/.config`). Without a file the environment describes a single
target. `rollback doctor` shows each value and where it came from. `rollback.example.toml` is a file to start from.

- `$NAME` and `${NAME}` in the file stand for a variable; one that is not set, or empty, is a fault. `$$` is a dollar sign.
- Each secret can come from a file: `DATABASE_URL_FILE`, `SLACK_BOT_TOKEN_FILE`, and so on.
- Durations: `200 ms`, `2s`, `15 min`, `12 hours`, `30 days`, or seconds as a number.
- Lists in variables are parted by commas: `ROLLBACK_APPROVERS=U0ANA,@db-oncall`.
- Relative paths in the file start at the file's folder, those in variables and flags at the working directory.
- An unknown key, or an unknown variable that begins with `ROLLBACK_`, is a fault: all faults are listed at once.
"""

TARGET = """
The variables without a target's name mean the default target. For every target there is the long form too, such as
`ROLLBACK_TARGETS__STAGING__APPROVALS`. `DATABASE_URL`, `TEST_DATABASE_URL`, `TEST_DB` and `API_BASE_URL` are used by
other programs as well: where the file has several targets they only fill what it leaves out of the default target.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    parts.append("## The file as a whole\n\n" + _table([x for x in leaves(Settings) if x[0][0] != "slack"]))
    parts.append(f"## `[targets.NAME]`\n{TARGET}\n" + _table([*leaves(Target)], ("targets", "NAME")))
    parts.append("## `[slack]`\n\n" + _table([*leaves(SlackSettings, ("slack",))], ("slack",)))
    return "\n".join(parts)


def _table(items: list[tuple[Key, Field[Any]]], prefix: Key = ()) -> str:
    rows = ["| key | default | variables | |", "|---|---|---|---|"]
    for path, item in items:
        full = path if path[: len(prefix)] == prefix else (*prefix, *path)
        names = [own_names(full, "NAME")[-1], *item.metadata["env"]]
        key = ".".join(full[len(prefix) :])
        variables = ", ".join(f"`{name}`" for name in names)
        rows.append(f"| `{key}` | {_default(item)} | {variables} | {item.metadata['text']} |")
    return "\n".join(rows) + "\n"


def _default(item: Field[Any]) -> str:
    from core.config import shown

    if item.name in ("ledger", "backup_dir"):
        return f"`$XDG_STATE_HOME/rollback-bot/{'ledger.db' if item.name == 'ledger' else 'backups'}`"
    value = item.default if item.default is not MISSING else None
    text = shown(value, item.metadata["kind"].secret, Redactor())
    return "–" if text in ("not set", "") else f"`{text}`"
