"""What an app says of itself in its manifest, as on api.slack.com/apps. The workspace offers that and holds it to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .model import Json, WorkspaceError

TEXTS = ("command", "description", "usage_hint", "name", "type", "callback_id")
"""What the page shows, and what is delivered."""
PRODUCT = Path(__file__).parents[2] / "manifest.yml"


@dataclass(frozen=True)
class Manifest:
    """An app: its names, what people may use of it, what it may call, what it is told.

    `commands`: `command`, `description`, `usage_hint`. `shortcuts`: `name`, `type` ("global" or "message"),
    `callback_id`, `description`. None: the app has not said; then whatever people use is delivered.
    `read_only`: people cannot write to it in direct messages. `home`: it has a Home tab.
    """

    name: str = "Your app"
    bot: str = "your app"
    commands: tuple[Json, ...] | None = None
    shortcuts: tuple[Json, ...] | None = None
    scopes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    home: bool = True
    read_only: bool = False


ANY = Manifest(
    scopes=(
        "commands", "chat:write", "im:write", "im:read", "users:read", "usergroups:read", "channels:read", "groups:read",
        "channels:history", "groups:history", "im:history", "team:read",
    ),
    events=("app_home_opened", "app_mention", "message.channels", "message.groups", "message.im"),
)  # fmt: skip
"""An app without a manifest: it may use all that is here."""


def read(path: Path) -> Manifest:
    """The manifest of an app, YAML or JSON. Raises WorkspaceError `invalid_manifest`, with what is wrong."""
    import yaml  # only where a manifest is read

    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as why:
        raise WorkspaceError("invalid_manifest", [f"{path} cannot be read: {why.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise WorkspaceError("invalid_manifest", [f"{path} is neither YAML nor JSON"]) from None
    features = _part(given, "features")
    tab = _part(features, "app_home")
    name = str(_part(given, "display_information").get("name") or ANY.name)
    return Manifest(
        name=name,
        bot=str(_part(features, "bot_user").get("display_name") or name),
        commands=_items(features, "slash_commands", ("command",)),
        shortcuts=_items(features, "shortcuts", ("name", "type", "callback_id")),
        scopes=_words(_part(_part(given, "oauth_config"), "scopes"), "bot"),
        events=_words(_part(_part(given, "settings"), "event_subscriptions"), "bot_events"),
        home=bool(tab.get("home_tab_enabled")),
        read_only=bool(tab.get("messages_tab_read_only_enabled")),
    )


@cache
def product() -> Manifest:
    """Rollback Bot's own."""
    return read(PRODUCT)


def _part(given: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise WorkspaceError("invalid_manifest", [f"what should hold {name} is no mapping"])
    found = given.get(name) or {}
    if not isinstance(found, Mapping):
        raise WorkspaceError("invalid_manifest", [f"{name} is no mapping"])
    return found


def _items(features: Mapping[str, Any], name: str, needed: tuple[str, ...]) -> tuple[Json, ...]:
    found = features.get(name) or []
    good = isinstance(found, list) and all(isinstance(each, Mapping) and all(map(each.get, needed)) for each in found)
    if not good:
        raise WorkspaceError("invalid_manifest", [f"each of {name} needs {', '.join(needed)}"])
    for each in found:
        wrong = [key for key in TEXTS if each.get(key) is not None and not isinstance(each[key], str)]
        if wrong:
            raise WorkspaceError("invalid_manifest", [f"{wrong[0]} of {name} is no text: {each[wrong[0]]!r}"])
        if name == "shortcuts" and each["type"] not in ("global", "message"):
            raise WorkspaceError("invalid_manifest", [f"type of {name} is global or message, not {each['type']}"])
    return tuple({str(key): value for key, value in each.items()} for each in found)


def _words(part: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = part.get(name) or []
    if not isinstance(found, list):
        raise WorkspaceError("invalid_manifest", [f"{name} is no list"])
    return tuple(map(str, found))
