"""What settings must be to each other. Each rule says its fault at the key that should change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches

from core.address import address
from core.git_folder import GitFolder
from core.settings import Backup, BreakGlass, Services, Settings, SlackSettings, Target

Say = Callable[[tuple[str, ...], str], None]
OF_KIND = {
    "names": ("compose", "systemd", "kubernetes", "command"),
    "project": ("compose",),
    "file": ("compose",),
    "manager": ("systemd",),
    "namespace": ("kubernetes",),
    "context": ("kubernetes",),
    **dict.fromkeys(("stop", "start", "status"), ("command",)),
}
"""Settings of services that only some kinds use."""
BACKUP_OF_KIND = {
    "format": ("dump",),
    "jobs": ("dump",),
    "alarm": ("dump", "command"),
    "verified": ("scoped",),
    "max_age": ("scoped",),
    **dict.fromkeys(("take", "verify", "restore_point", "timeout"), ("command",)),
}
"""The same of backups."""
NAMES = {
    "compose": r"[A-Za-z0-9][\w.-]*",
    "systemd": r"[A-Za-z0-9][\w.:@\\-]*",
    "kubernetes": r"((deployment|deploy|statefulset|sts)/)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?",
}
"""What each kind's names are made of. None begins with a dash: they are words of a command."""
SHORTEST_COUNTDOWN = timedelta(seconds=10)  # to read a message and to click
LIBPQ = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")


def check(settings: Settings, say: Say, env: Mapping[str, str], check_paths: bool) -> None:
    """All rules over all settings; `say(path, sentence)` is called for each fault."""
    if settings.default_target not in settings.targets:
        near = get_close_matches(settings.default_target, settings.targets, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(settings.targets)}"
        say(("default_target",), f"names a target that does not exist; {hint}")
    for target in settings.targets.values():
        _database(target, settings, say, env)
        _people(target, settings, say)
        _tables(target, say)
        _services(target.services, ("targets", target.name, "services"), say)
        _backup(target.backup, ("targets", target.name, "backup"), say)
        _encrypt(target, say)
        _break_glass(target, say)
        _staging(target, settings, say)
        place = target.migrations
        if check_paths and not (place.repository if isinstance(place, GitFolder) else place).is_dir():
            say(("targets", target.name, "migrations"), "names a folder that does not exist")
    _slack(settings.slack, say)
    if check_paths and settings.pg_bin is not None and not settings.pg_bin.is_dir():
        say(("pg_bin",), "names a folder that does not exist")


def _database(target: Target, settings: Settings, say: Say, env: Mapping[str, str]) -> None:
    path = ("targets", target.name)
    libpq = len(settings.targets) == 1 and any(env.get(name) for name in LIBPQ)
    named = [t for t in settings.targets.values() if libpq or f"targets.{t.name}.database_url" in settings.origins]
    if target not in named:
        say((*path, "database_url"), "is missing; set it, or DATABASE_URL, or libpq's PGHOST for a single target")
    if target.scratch_url is None:
        return
    scratch = address(target.scratch_url.get_secret_value(), env)
    for other in named:
        # rehearsals drop and create: on another target's database they would be as bad as on this one's
        if scratch.same(address(other.database_url.get_secret_value(), env)):
            own = "`database_url`" if other is target else f"`targets.{other.name}.database_url`"
            say((*path, "scratch_url"), f"names the same database as {own}; rehearsals never run on a target")


def _people(target: Target, settings: Settings, say: Say) -> None:
    path = ("targets", target.name, "approvers")
    if target.approvals and not target.approvers:
        say(path, "names nobody; say who may approve, or set `approvals` to 0 for a throw-away target")
        return
    if target.approval_totp and not target.approvals:
        say(("targets", target.name, "approval_totp"), "has no effect where `approvals` is 0")
    for name in ("escalation", "quiet_approvers"):
        if getattr(target, name) and not target.approvals:
            say(("targets", target.name, name), "has no effect where `approvals` is 0")
    if any(who.startswith(("S", "@")) for who in target.quiet_approvers):
        say(("targets", target.name, "quiet_approvers"), "holds a group; name people by their ids (U…)")
    if target.escalation and not any(after < target.approval_expires for after in target.remind_after[-1:]):
        say(
            ("targets", target.name, "escalation"),
            "would never be asked: set the last of `remind_after` below `approval_expires`",
        )
    groups = [who for who in target.deciders if who.startswith(("S", "@"))]
    people = {settings.one_person(who) for who in target.deciders}
    if not groups and len(people) < target.approvals:
        say(path, f"names {len(people)} person, but `approvals` asks for {target.approvals}")


def _tables(target: Target, say: Say) -> None:
    path = ("targets", target.name)
    if target.drill is not None and not target.drill.schedule:
        say((*path, "drill", "schedule"), "is missing; write it, such as `first monday 10:00`")


def _staging(target: Target, settings: Settings, say: Say) -> None:
    path = ("targets", target.name)
    if target.staging is None:
        if target.require == "staging":
            say((*path, "staging"), 'is missing; `require = "staging"` needs the name of a target')
    elif target.staging == target.name:
        say((*path, "staging"), "names the target itself; it must be another one")
    elif target.staging not in settings.targets:
        near = get_close_matches(target.staging, settings.targets, n=1)
        say((*path, "staging"), f"names a target that does not exist{f'; did you mean `{near[0]}`?' if near else ''}")


def _services(services: Services, path: tuple[str, ...], say: Say) -> None:
    kind = services.kind
    for item in fields(services):
        if getattr(services, item.name) != item.default and item.name in OF_KIND and kind not in OF_KIND[item.name]:
            say((*path, item.name), f"has no effect with the kind `{kind}`")
    if kind == "command" and not (services.stop and services.start):
        say((*path, "stop"), "and `start` are needed with the kind `command`")
    if kind in NAMES and not services.names:
        say((*path, "names"), f"is missing; the kind `{kind}` needs it")
    if kind in NAMES and not all(re.fullmatch(NAMES[kind], name) for name in services.names):
        say((*path, "names"), f"holds what is no name for the kind `{kind}`; name each one, without patterns")


def _backup(backup: Backup, path: tuple[str, ...], say: Say) -> None:
    kind = backup.kind
    for item in fields(backup):
        if getattr(backup, item.name) != item.default and kind not in BACKUP_OF_KIND.get(item.name, (kind,)):
            say((*path, item.name), f"has no effect with the kind `{kind}`")
    for needy, key in (("scoped", "verified"), ("command", "take")):
        if kind == needy and not getattr(backup, key):
            say((*path, key), f"is missing; the kind `{kind}` needs it")
    if kind == "dump" and backup.format == "custom" and backup.jobs != Backup.jobs:
        say((*path, "jobs"), 'has no effect with the format "custom"')


def _encrypt(target: Target, say: Say) -> None:
    path, encrypt = ("targets", target.name), target.encrypt
    if encrypt is None:
        return
    for key in ("tool", "recipient", "identity"):
        if not getattr(encrypt, key):
            say((*path, "encrypt", key), "is missing; without it nothing can be encrypted and read again")
    if target.backup.name == "directory":
        say((*path, "backup", "format"), 'must be "custom" where `encrypt` is set: pg_dump writes a directory in plain')


def _break_glass(target: Target, say: Say) -> None:
    path, glass = ("targets", target.name, "break_glass"), target.break_glass
    if glass == BreakGlass():
        return
    if not glass.people:
        say((*path, "people"), "is missing; without it break-glass is off")
    if glass.people and not target.approvals:
        say((*path, "people"), "has no effect where `approvals` is 0")
    if glass.countdown < SHORTEST_COUNTDOWN:
        say((*path, "countdown"), "must be at least 10 s: people need time to stop it")
    if glass.wait + glass.countdown >= target.approval_expires:
        say((*path, "wait"), "and `countdown` must be shorter together than `approval_expires`, or it expires first")


def _slack(slack: SlackSettings, say: Say) -> None:
    bot = slack.bot_token.get_secret_value() if slack.bot_token else ""
    app = slack.app_token.get_secret_value() if slack.app_token else ""
    if bot.startswith("xapp-"):
        say(("slack", "bot_token"), "holds an app-level token; the bot's token begins with xoxb-")
    if app.startswith("xox"):
        say(("slack", "app_token"), "holds a bot's or user's token; the app-level token begins with xapp-")
    if slack.mode == "http" and bot and not slack.signing_secret:
        say(("slack", "signing_secret"), "is missing; over HTTP it is the only proof that Slack is asking")
