"""Where values come from: the file, the environment, flags. Each layer gives path -> raw value, and its faults."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from core import toml_lines
from core.settings import Settings, Target

Key = tuple[str, ...]
VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.A)
TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
NOT_SETTINGS = frozenset({"ROLLBACK_CONFIG"})
"""Our own variables that are no settings. A room that adds one names it here, or it is refused as a slip."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong. `where`: file name, "environment" or "flag"; `line` counts from 1, where there is one."""

    where: str
    line: int | None
    key: str
    sentence: str

    def __str__(self) -> str:
        place = f"{self.where}, line {self.line}" if self.line else self.where
        return f"{place}: {self.sentence}"


@dataclass(frozen=True)
class Raw:
    """A value as found; None: it has its fault already. `text`: numbers and lists have yet to be read from it."""

    value: object
    where: str
    label: str
    line: int | None = None
    text: bool = False
    folder: Path | None = None

    @property
    def origin(self) -> str:
        """For `doctor`: `rollback.toml:12`, `DATABASE_URL`, `flag`."""
        if self.where == "environment":
            return self.label
        return f"{self.where}:{self.line}" if self.line else self.where

    def fault(self, sentence: str) -> Fault:
        return Fault(self.where, self.line, self.label, f"`{self.label}` {sentence}")


def nearest(word: str, known: Iterator[str] | list[str]) -> str:
    """`, did you mean …?` or nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f", did you mean `{near[0]}`?" if near else ""


def settings_of(record: type) -> dict[str, Field[Any]]:
    """The fields of a record that can be set."""
    return {f.name: f for f in fields(record) if f.metadata}


def leaves(record: type, prefix: Key = ()) -> Iterator[tuple[Key, Field[Any]]]:
    """Every setting below a record, without those of targets."""
    for name, item in settings_of(record).items():
        if "table" in item.metadata:
            yield from leaves(item.metadata["table"], (*prefix, name))
        elif "kind" in item.metadata:
            yield (*prefix, name), item


def from_env(env: Mapping[str, str], name: str, faults: list[Fault]) -> str | None:
    """A variable, or the content of the file that its `_FILE` twin names. Empty counts as unset."""
    if env.get(name):
        return env[name]
    path = env.get(f"{name}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        fault = Fault("environment", None, f"{name}_FILE", f"`{name}_FILE` names a file that I cannot read")
        if fault not in faults:
            faults.append(fault)
        return None


class FileLayer:
    """Walks one TOML file along the records."""

    def __init__(self, path: Path, env: Mapping[str, str], faults: list[Fault]) -> None:
        self.path, self.env, self.faults = path, env, faults
        self.found: dict[Key, Raw] = {}
        self.targets: list[str] = []
        self.lines: dict[Key, int] = {}
        self.readable = False
        data = self._read()
        self._walk(data, Settings, ())

    def _fail(self, path: Key, sentence: str, line: int | None = None) -> None:
        line = line or toml_lines.line_of(self.lines, path)
        self.faults.append(Fault(self.path.name, line, ".".join(path), sentence))

    def _read(self) -> dict[str, Any]:
        try:
            text = self.path.read_text(encoding="utf-8-sig")
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"^(.*?)(?: \(at (?:line (\d+), column \d+|end of document)\))?$", str(error), re.S)
            reason, line = (found[1], found[2]) if found else (str(error), None)
            last = text.count("\n") + 1
            self._fail((), f"this is not TOML: {reason[:1].lower()}{reason[1:]}", int(line) if line else last)
        except UnicodeDecodeError:
            self._fail((), "this is not UTF-8 text")
        except OSError as error:
            self._fail((), f"I cannot read it: {(error.strerror or 'no reason given').lower()}")
        else:
            self.lines, self.readable = toml_lines.lines(text), True
            return data
        return {}

    def _walk(self, table: dict[str, Any], record: type, prefix: Key) -> None:
        known = settings_of(record)
        for name, value in table.items():
            path = (*prefix, name)
            if name not in known:
                inside = f" in [{'.'.join(prefix)}]" if prefix else ""
                self._fail(path, f"unknown key `{name}`{inside}{nearest(name, list(known))}")
                continue
            below = known[name].metadata.get("table") or known[name].metadata.get("map")
            if below is None:
                self._leaf(path, value)
            elif not isinstance(value, dict):
                self._fail(path, f"`{'.'.join(path)}` must be a table")
            elif "map" in known[name].metadata:
                self._targets(value, path)
            else:
                self._walk(value, below, path)

    def _targets(self, tables: dict[str, Any], prefix: Key) -> None:
        for name, table in tables.items():
            path = (*prefix, name)
            if not TARGET_NAME.fullmatch(name):
                self._fail(path, "a target's name has letters, digits, `-` and `_`, at most 40")
            elif not isinstance(table, dict):
                self._fail(path, f"`{'.'.join(path)}` must be a table")
            else:
                self.targets.append(name)
                self._walk(table, Target, path)

    def _leaf(self, path: Key, value: object) -> None:
        before = len(self.faults)
        filled: object = self._fill(path, value)
        if len(self.faults) > before:
            filled = None
        text = isinstance(value, str) and bool(VARIABLE.search(value))
        line = toml_lines.line_of(self.lines, path)
        self.found[path] = Raw(filled, self.path.name, ".".join(path), line, text, self.path.parent)

    def _fill(self, path: Key, value: object) -> object:
        """Put variables in for `$NAME` and `${NAME}`; `$$` is a dollar sign."""
        if isinstance(value, list):
            return [self._fill(path, item) for item in value]
        if isinstance(value, dict):
            return {key: self._fill(path, item) for key, item in value.items()}
        if not isinstance(value, str):
            return value

        def put(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            if name is None:
                return "$"
            text = from_env(self.env, name, self.faults)
            if text is None:
                self._fail(path, f"`{'.'.join(path)}` needs the variable `{name}`, which is not set")
            return text or ""

        return VARIABLE.sub(put, value)


def own_names(path: Key, default: str) -> list[str]:
    """Our variables for a setting: `ROLLBACK_LEDGER`, `ROLLBACK_TARGETS__STAGING__APPROVALS`, `ROLLBACK_APPROVALS`."""
    names = [path]
    if path[0] == "targets" and path[1] == default:
        names.append(path[2:])
    return ["ROLLBACK_" + "__".join(re.sub(r"\W", "_", part).upper() for part in name) for name in names]


def env_layer(
    env: Mapping[str, str], default: str, targets: list[str], held: Mapping[Key, Raw], faults: list[Fault]
) -> dict[Key, Raw]:
    """Values from the environment. Finds our own variables that mean nothing. `held`: what the file says.

    A name that other programs use too, such as `DATABASE_URL`, does not replace what the file takes from a variable
    that it names itself, nor anything where the file has several targets: it could just as well mean another one.
    """
    found: dict[Key, Raw] = {}
    known = set(NOT_SETTINGS)
    places = [*leaves(Settings)]
    for target in targets:
        places += leaves(Target, ("targets", target))
    for path, item in places:
        secret, also = item.metadata["kind"].secret, item.metadata["env"]
        own = own_names(path, default) + [name for name in also if name.startswith("ROLLBACK_")]
        known.update(own, [f"{name}_FILE" for name in own if secret])
        several = path[0] == "targets" and len(targets) > 1
        shut = (path in held and (held[path].text or several)) or (path[0] == "targets" and path[1] != default)
        for name in [*own, *([] if shut else also)]:
            text = from_env(env, name, faults) if secret else env.get(name)
            if text:
                found[path] = Raw(_meant(name, text), "environment", name, text=True)
                break
    for name in sorted(env):
        if name.startswith("ROLLBACK_") and name not in known:
            sentence = f"unknown variable `{name}`{nearest(name, sorted(known))}"
            faults.append(Fault("environment", None, name, sentence))
    return found


def _meant(name: str, text: str) -> str:
    """Variables that are not the setting itself. psql takes a bare database name for a URL, so TEST_DB may be one."""
    if name == "API_BASE_URL":
        return text.rstrip("/") + "/health"
    if name == "TEST_DB" and re.fullmatch(r"[\w.-]+", text):
        return f"dbname={text}"
    return text


def flag_layer(flags: Mapping[str, object], default: str, faults: list[Fault]) -> dict[Key, Raw]:
    """Flags by dotted key; a target's key alone means the default target."""
    found: dict[Key, Raw] = {}
    ours = {path for path, _ in leaves(Settings)}
    theirs = {path for path, _ in leaves(Target)}
    for key, value in flags.items():
        path = tuple(key.split("."))
        if path in theirs:
            path = ("targets", default, *path)
        if path not in ours and not (path[0] == "targets" and path[2:] in theirs):
            near = nearest(key, [".".join(p) for p in ours | theirs])
            faults.append(Fault("flag", None, key, f"unknown setting `{key}`{near}"))
        else:
            found[path] = Raw(value, "flag", key, text=isinstance(value, str))
    return found
