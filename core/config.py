"""Settings and targets: read once, checked whole, all faults listed at once.

Precedence: flag, environment, file, default. The file is the one that ROLLBACK_CONFIG names, or ./rollback.toml, or
rollback/rollback.toml below $XDG_CONFIG_HOME; without any, the environment alone describes a single target.
`python -m core.config` prints docs/settings.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import Field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.errors import Refused
from core.git_folder import GitFolder
from core.layers import Fault, FileLayer, Key, Raw, env_layer, flag_layer, leaves, settings_of
from core.redact import Redactor, SecretStr, install, visible
from core.settings import Drill, Services, Settings, SlackSettings, Target, state_dir
from core.toml_lines import line_of
from core.values import spoken

__all__ = [
    "ConfigError", "Drill", "Fault", "SecretStr", "Services", "Settings", "SlackSettings", "Target",
    "load", "source", "state_dir",
]  # fmt: skip


class ConfigError(Refused):
    """E-CONFIG. `faults` holds every fault; the message lists them. No value of a secret is in it."""

    def __init__(self, faults: list[Fault], note: str = "") -> None:
        self.faults = tuple(sorted(faults, key=lambda f: (f.where, f.line or 0)))
        count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = "".join(f"\n  {fault}" for fault in self.faults)
        super().__init__(
            "E-CONFIG",
            f"The settings have {count}. Nothing was started; docs/settings.md lists every key.{note}{lines}",
        )


def load(
    path: Path | None = None,
    env: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] | None = None,
    check_paths: bool = False,
) -> Settings:
    """The settings.

    `path`: the file, instead of a search. `overrides`: flags, by dotted key (`targets.staging.approvals`); a target's
    key alone (`approvals`) means the default target. `check_paths`: folders must exist too.
    Raises ConfigError with all faults.
    """
    faults: list[Fault] = []
    found = path or find(env)
    file = FileLayer(found, env, faults) if found else None
    if file and not file.readable:  # all that the file might have said would be missed as well
        raise ConfigError(faults)
    settings, reader = _read(file, env, dict(overrides or {}), faults)
    from core.config_rules import check  # completion does without

    check(settings, reader.say, env, check_paths)
    if faults:
        raise ConfigError(
            faults, "" if found else " No rollback.toml was found here; ROLLBACK_CONFIG names one elsewhere."
        )
    install(Redactor.of(settings, env))
    for name in settings.targets:
        reader.origins.setdefault(f"targets.{name}.database_url", "libpq's variables")
    return settings


def glimpse(env: Mapping[str, str]) -> Settings:
    """The settings as far as they can be read, for completion; what is faulty or missing has its default."""
    found = find(env)
    return _read(FileLayer(found, env, []) if found else None, env, {}, [])[0]


def _read(
    file: FileLayer | None, env: Mapping[str, str], flags: dict[str, object], faults: list[Fault]
) -> tuple[Settings, Reader]:
    """The layers, one above the other, as records."""
    held = file.found if file else {}
    default = _default(flags, env, held, file.targets if file else [])
    targets = (file.targets if file else []) or [default]
    meant = default if default in targets else targets[0]
    layers = held | env_layer(env, meant, targets, held, faults) | flag_layer(flags, meant, faults)
    reader = Reader(layers, faults, file)
    return reader.settings(targets, default, env), reader


def find(env: Mapping[str, str]) -> Path | None:
    """The settings file: named by ROLLBACK_CONFIG (then it must exist), or the first that exists."""
    if env.get("ROLLBACK_CONFIG"):
        return Path(env["ROLLBACK_CONFIG"]).expanduser()
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    user = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "rollback" / "rollback.toml"
    return next((p for p in (Path("rollback.toml"), user) if p.is_file()), None)


def _default(flags: Mapping[str, object], env: Mapping[str, str], held: dict[Key, Raw], targets: list[str]) -> str:
    """The default target's name, before anything is checked."""
    in_file = held.get(("default_target",))
    named = (
        flags.get("default_target")
        or env.get("ROLLBACK_DEFAULT_TARGET")
        or env.get("ROLLBACK_TARGET")
        or (in_file.value if in_file else None)
        or (targets[0] if len(targets) == 1 else "production")
    )
    return str(named)


class Reader:
    """Builds the records from the merged layers; notes faults and origins on the way."""

    def __init__(self, layers: dict[Key, Raw], faults: list[Fault], file: FileLayer | None) -> None:
        self.layers, self.faults, self.file = layers, faults, file
        self.failed: set[Key] = set()
        self.origins: dict[str, str] = {}

    def say(self, path: Key, sentence: str) -> None:
        """A fault where the value stands, or else its table; nothing if the value has one already."""
        if path in self.failed:
            return
        raw, label = self.layers.get(path), ".".join(path)
        if raw is None and self.file is not None:
            line = line_of(self.file.lines, path)
            raw = Raw(None, self.file.path.name, label, line)
        self.faults.append((raw or Raw(None, "environment", label)).fault(sentence))

    def settings(self, targets: list[str], default: str, env: Mapping[str, str]) -> Settings:
        records = {name: self.record(Target, ("targets", name), {"name": name}) for name in targets}
        home = state_dir(env)
        given = {
            "targets": records,
            "origins": self.origins,
            "default_target": default,
            "ledger": self._read(("ledger",), settings_of(Settings)["ledger"]) or home / "ledger.db",
            "backup_dir": self._read(("backup_dir",), settings_of(Settings)["backup_dir"]) or home / "backups",
        }
        for name, target in records.items():
            if isinstance(target.migrations, GitFolder):
                beside = replace(target.migrations, state=Path(str(given["ledger"])).parent / "git")
                records[name] = replace(target, migrations=beside)
        if ("default_target",) in self.layers:
            self.origins["default_target"] = self.layers[("default_target",)].origin
        result: Settings = self.record(Settings, (), given)
        return result

    def record(self, record: type, prefix: Key, given: dict[str, object]) -> Any:
        """One record; what is faulty or missing keeps its default."""
        for name, item in settings_of(record).items():
            path = (*prefix, name)
            if name in given:
                continue
            if "table" in item.metadata:
                if any(key[: len(path)] == path for key in self.layers):
                    given[name] = self.record(item.metadata["table"], path, {})
            else:
                value = self._read(path, item)
                if value is not None:
                    given[name] = value
        return record(**given)

    def _read(self, path: Key, item: Field[Any]) -> object:
        raw = self.layers.get(path)
        if raw is None:
            return None
        if raw.value is None:
            self.failed.add(path)
            return None
        kind = item.metadata["kind"]
        try:
            value = raw.value
            value = kind.read(kind.from_text(value) if raw.text and isinstance(value, str) else value)
        except ValueError as error:
            self.faults.append(raw.fault(str(error)))
            self.failed.add(path)
            return None
        self.origins[".".join(path)] = raw.origin
        if isinstance(value, GitFolder):
            return replace(value, repository=(raw.folder or Path()) / value.repository)
        if isinstance(value, Path) and raw.folder is not None:
            value = raw.folder / value
        return value


def source(settings: Settings) -> list[tuple[str, str, str]]:
    """For `rollback doctor`: (key, value as shown, where from). Secrets are only said to be set or not."""
    funnel = Redactor.of(settings)
    rows = [_row(settings, settings, path, item, funnel) for path, item in leaves(Settings)]
    for name, target in settings.targets.items():
        prefix = ("targets", name)
        rows += [_row(settings, target, path, item, funnel, prefix) for path, item in leaves(Target)]
    return rows


def _row(
    settings: Settings, record: object, path: Key, item: Field[Any], funnel: Redactor, prefix: Key = ()
) -> tuple[str, str, str]:
    value = record
    for name in path:
        value = getattr(value, name) if value is not None else None
    key = ".".join((*prefix, *path))
    return key, shown(value, item.metadata["kind"].secret, funnel), settings.origins.get(key, "default")


def shown(value: object, secret: bool, funnel: Redactor) -> str:
    """A value for people to read."""
    if secret:
        return "set" if value else "not set"
    match value:
        case None | ():
            return "not set"
        case Mapping() if not value:
            return "not set"
        case timedelta():
            return spoken(value)
        case bool():
            return str(value).lower()
        case (str(host), int(port)):
            return f"{host}:{port}"
        case tuple():
            return ", ".join(shown(item, False, funnel) for item in value)
        case Mapping():
            return ", ".join(f"{key} = {item}" for key, item in value.items())
    return visible(funnel.redact(str(value)))


if __name__ == "__main__":
    from core.settings_page import page

    sys.stdout.write(page())
