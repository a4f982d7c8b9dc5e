# ruff: noqa: RUF009  (put() builds dataclasses.field, which the rule does not see)
"""The settings as frozen records. Each field carries its kind, its sentence for the page, and its variables.

Plain dataclasses, since the shell must start fast: pydantic-settings takes 100 ms of CPU time before it reads
anything, ignores unknown variables, and knows no line numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core import values
from core.errors import Refused
from core.git_folder import GitFolder
from core.redact import SecretStr

if TYPE_CHECKING:
    from core.applied.stored import Stored

MIN, DAY = timedelta(minutes=1), timedelta(days=1)
LAYOUTS = ("paired", "golang-migrate", "diesel", "goose", "dbmate", "sqlx")
"""How a project may keep its migrations; core/layouts has an adapter for each."""
TIMEOUT = values.lasting(DAY * 24)  # PostgreSQL keeps timeouts as milliseconds in 32 bits: 24.8 days
WAIT = values.lasting(DAY * 7)


def put(kind: values.Kind, text: str, default: object = None, env: tuple[str, ...] = ()) -> Any:
    """One setting. `env`: names of variables that people know already, besides our own."""
    return field(default=default, metadata={"kind": kind, "text": text, "env": env})


def state_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Where state is kept unless settings say otherwise (XDG base directories)."""
    base = env.get("XDG_STATE_HOME", "")
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    return (Path(base) if base.startswith("/") else home / ".local" / "state") / "rollback-bot"


@dataclass(frozen=True)
class Drill:
    """A rehearsed emergency: when it is due, and who is asked to start it."""

    schedule: str = put(
        values.SCHEDULE, "`first monday 10:00`, `monday 10:00`, `daily 10:00`, or a cron line with names of days", ""
    )
    timezone: str = put(values.TIMEZONE, "whose clock the schedule means", "UTC")
    owners: tuple[str, ...] = put(values.WHO, "who is asked, in turn; without it the approvers", ())
    second_person: bool = put(
        values.SWITCH,
        "a second person must agree to the drill, as to a rollback, and the time until they do is told",
        False,
    )
    backup: Literal["latest", "fresh"] = put(
        values.choice("latest", "fresh"),
        "what is put back for it: the newest backup that is kept (a fresh one where there is none), or always a fresh one",
        "latest",
    )


@dataclass(frozen=True)
class Readiness:
    """The nightly look at what could be undone. Off without this table."""

    last: int = put(values.whole(1, 20), "how many of the newest migrations are looked at each night", 3)
    schedule: str = put(values.SCHEDULE, "when, written as that of a drill", "daily 03:00")
    timezone: str = put(values.TIMEZONE, "whose clock the schedule means", "UTC")


@dataclass(frozen=True)
class BreakGlass:
    """Who may start a run without a second person, and after how long. Off where nobody is named."""

    people: tuple[str, ...] = put(
        values.WHO, "who may start a run [without a second person](operating.md#break-glass); empty: nobody", ()
    )
    wait: timedelta = put(
        WAIT, "how long approvers are waited for first; not at all where none of them can be asked", 9 * MIN
    )
    countdown: timedelta = put(
        values.lasting(DAY), "how long everybody in the channel can stop it, before it starts; at least 10 s", MIN
    )


@dataclass(frozen=True)
class Services:
    """What must not write while a backup is put back. Used by `restore` only."""

    kind: Literal["none", "compose", "systemd", "kubernetes", "command"] = put(
        values.choice("none", "compose", "systemd", "kubernetes", "command"),
        "how they are stopped and started: [services.md](services.md)",
        "none",
    )
    names: tuple[str, ...] = put(
        values.WORDS, "services, units, or deployments and stateful sets (`statefulset/worker`)", ()
    )
    timeout: timedelta = put(values.lasting(DAY), "how long stopping them, and starting them, may take", 3 * MIN)
    project: str | None = put(
        values.TEXT, "kind `compose`: the project, where several have services of these names", None
    )
    file: Path | None = put(
        values.PATH, "kind `compose`: the compose file, to make containers again that were removed meanwhile", None
    )
    manager: Literal["system", "user"] = put(
        values.choice("system", "user"), "kind `systemd`: `user` for units of the bot's own account", "system"
    )
    namespace: str | None = put(values.TEXT, "kind `kubernetes`: the namespace, instead of the context's own", None)
    context: str | None = put(
        values.TEXT, "kind `kubernetes`: the context of the kubeconfig, instead of the current one", None
    )
    stop: tuple[str, ...] = put(values.WORDS, "kind `command`: program and arguments that stop them", ())
    start: tuple[str, ...] = put(values.WORDS, "kind `command`: program and arguments that start them", ())
    status: tuple[str, ...] = put(
        values.WORDS, "kind `command`: program and arguments; exit code 0: they run, 1 or 3: they are stopped", ()
    )


@dataclass(frozen=True)
class Backup:
    """How the backup of a target is taken. What each kind proves: docs/backups.md."""

    kind: Literal["dump", "scoped", "command"] = put(
        values.choice("dump", "scoped", "command"),
        "`dump`: all of the database; `scoped`: what the rollback destroys, where a verified backup of everything is kept "
        "elsewhere; `command`: programs of your own, and what the rollback destroys",
        "dump",
    )
    format: Literal["custom", "directory"] = put(
        values.choice("custom", "directory"),
        "kind `dump`: `custom` is one file, written by one connection; `directory` a file for each table, by several",
        "custom",
    )
    jobs: int = put(values.whole(1, 16), "format `directory`: how many connections write it", 2)
    verified: tuple[str, ...] = put(
        values.WORDS,
        "kind `scoped`: program and arguments that print when the last verified backup of everything was made, as RFC 3339 or "
        "as seconds of age",
        (),
    )
    max_age: timedelta = put(values.lasting(DAY * 366), "kind `scoped`: how old that backup may be", DAY)
    take: tuple[str, ...] = put(
        values.WORDS,
        "kind `command`: program and arguments that take a backup; their last line is kept as its name",
        (),
    )
    verify: tuple[str, ...] = put(values.WORDS, "kind `command`: program and arguments that verify it", ())
    restore_point: bool = put(
        values.SWITCH, "kind `command`: name a restore point after it, where the server archives its log", True
    )
    timeout: timedelta = put(values.lasting(DAY * 7), "kind `command`: longest run of a program", timedelta(hours=1))
    alarm: timedelta | None = put(
        values.lasting(DAY * 366),
        "kinds `dump` and `command`: the channel is told once the newest proven backup is older: [readiness.md](readiness.md#the-age-of-the-backup)",
    )

    @property
    def name(self) -> str:
        """The strategy: the kind, or the format of a dump."""
        return self.format if self.kind == "dump" else self.kind


@dataclass(frozen=True)
class Encrypt:
    """Backups and saved rows are written through a tool that encrypts them. Whoever has `identity` can read them."""

    tool: Literal["age", "gpg"] | None = put(values.choice("age", "gpg"), "what encrypts backups and saved rows")
    recipient: str = put(values.TEXT, "for whom: age's `age1…`, or a key of gpg's by its fingerprint", "")
    identity: Path | None = put(
        values.PATH, "what decrypts them: age's identity file, or the home folder of gpg that holds both keys"
    )


@dataclass(frozen=True)
class Target:
    """A database whose migrations can be undone, and the rules for it. Durations are timedeltas."""

    name: str
    database_url: SecretStr = put(
        values.DATABASE,
        "the database; without it libpq's own variables (`PGHOST`, `PGSERVICE`, ...)",
        SecretStr(""),
        ("DATABASE_URL",),
    )
    scratch_url: SecretStr | None = put(
        values.DATABASE,
        "where rehearsals run: a server of the target's major and a role that may create databases there; never the "
        "target's own database. Without it a throw-away PostgreSQL is started where its programs are installed",
        None,
        ("TEST_DATABASE_URL", "TEST_DB"),
    )
    migrations: Path | GitFolder = put(
        values.FOLDER,
        "the folder of the migrations; or `git:PATH@REF:folder`, the folder as it is in a commit of a repository: "
        "[watching.md](watching.md#from-a-git-repository)",
        Path("apps/api/migrations"),
    )
    layout: str = put(
        values.choice(*LAYOUTS),
        "how the project keeps its migrations: " + ", ".join(f"`{name}`" for name in LAYOUTS),
        "paired",
    )
    history_table: str | None = put(
        values.TABLE,
        "the history table, `name` or `schema.name`, where it has another name than its tool gives it, or where "
        "several schemas have one",
    )
    health_url: str | None = put(
        values.WEB, "asked after a rollback; `API_BASE_URL` gives it with `/health` at the end", None, ("API_BASE_URL",)
    )
    channel: str | None = put(values.CHANNEL, "the Slack channel in which rollbacks are asked for and posted")
    channels: tuple[str, ...] = put(values.CHANNELS, "more channels in which people may ask", ())
    approvals: int = put(
        values.whole(0, 3), "people who must agree, besides the requester; 0 only for throw-away targets", 1
    )
    approvers: tuple[str, ...] = put(
        values.WHO, "who may approve: Slack user ids (U…), group ids (S…) or a group's @handle", ()
    )
    escalation: tuple[str, ...] = put(
        values.WHO,
        "who else may approve, and is asked only once the last reminder is due, or where no approver can be reached: the "
        "next group",
        (),
    )
    quiet_approvers: tuple[str, ...] = put(
        values.WHO,
        "user ids of approvers who are not asked by direct message; a break-glass, and what becomes of their own approval, is told to them all the same",
        (),
    )
    approval_totp: bool = put(
        values.SWITCH,
        "approving needs a code of the approver's authenticator too: [second-factor.md](second-factor.md)",
        False,
    )
    requesters: tuple[str, ...] = put(values.WHO, "who may ask; empty: everyone in the channel", ())
    reason: Literal["optional", "required"] = put(
        values.choice("optional", "required"), "`required`: nobody is asked before a reason stands there", "optional"
    )
    approval_expires: timedelta = put(WAIT, "how long a request waits for people", 15 * MIN)
    approval_valid: timedelta = put(WAIT, "how long an approval holds while proofs run", 60 * MIN)
    remind_after: tuple[timedelta, ...] = put(
        values.DURATIONS, "when approvers are reminded; the last time in the channel", (2 * MIN, 5 * MIN, 9 * MIN)
    )
    drift_rows_percent: int = put(values.whole(0, 100), "a plan is new when its row counts moved by more than this", 5)
    keep: timedelta = put(values.lasting(DAY * 3650), "how long saved rows and backups are kept", 30 * DAY)
    steps: Literal["thread", "channel"] = put(
        values.choice("thread", "channel"), "`channel`: the line of each step is shown in the channel too", "thread"
    )
    blocks: Literal["classic", "new"] = put(
        values.choice("classic", "new"),
        "`new`: the card, the review and the history use Slack's newer blocks, as long as Slack takes them: "
        "[operating.md](operating.md#newer-blocks)",
        "classic",
    )
    staging: str | None = put(
        values.TEXT,
        "the target on which scripts run first: each plan says when these very ones last did, and how it ended "
        "([watching.md](watching.md#staging-first))",
    )
    require: Literal["nothing", "staging"] = put(
        values.choice("nothing", "staging"),
        "`staging`: nothing is approved whose scripts did not run there to a verified end",
        "nothing",
    )
    hold: Literal["warn", "refuse"] = put(
        values.choice("warn", "refuse"),
        "after a rollback: `refuse` makes the history table refuse its migrations until they are released or re-applied; "
        "`warn` only tells the channel when one is applied again",
        "warn",
    )
    lock_timeout: timedelta = put(
        TIMEOUT, "longest time in the queue for a lock: the application's readers wait behind it", timedelta(seconds=2)
    )
    lock_wait: timedelta = put(
        values.lasting(DAY),
        "how long to wait in all, mostly beside the queue, until the locks can be had",
        timedelta(seconds=30),
    )
    statement_timeout: timedelta = put(TIMEOUT, "longest run of one statement of a script", MIN)
    count_budget: timedelta = put(
        values.lasting(DAY, zero=True), "time for exact row counts; estimates after it", timedelta(seconds=5)
    )
    health_tries: int = put(values.whole(1, 100), "how often the application is asked", 3)
    health_timeout: timedelta = put(values.lasting(MIN * 10), "how long one answer may take", timedelta(seconds=5))
    admin_url: SecretStr | None = put(
        values.DATABASE,
        "for `restore`: a role that owns the database, may create databases and end sessions, in another database of the "
        "same server; without it the role of `database_url`, in `postgres`",
    )
    backup: Backup = field(default_factory=Backup, metadata={"table": Backup})
    encrypt: Encrypt | None = field(default=None, metadata={"table": Encrypt})
    services: Services = field(default_factory=Services, metadata={"table": Services})
    drill: Drill | None = field(default=None, metadata={"table": Drill})
    readiness: Readiness | None = field(default=None, metadata={"table": Readiness})
    break_glass: BreakGlass = field(default_factory=BreakGlass, metadata={"table": BreakGlass})
    stored: Stored | None = field(
        default=None, compare=False, repr=False
    )  # no setting: core/applied/stored.py puts it there

    @property
    def deciders(self) -> tuple[str, ...]:
        """Everybody who may approve: approvers and the next group."""
        return tuple(dict.fromkeys((*self.approvers, *self.escalation)))


@dataclass(frozen=True)
class SlackSettings:
    """The door to Slack. The shell alone needs none of it."""

    bot_token: SecretStr | None = put(values.SECRET, "the bot's token (xoxb-…)", None, ("SLACK_BOT_TOKEN",))
    app_token: SecretStr | None = put(
        values.SECRET, "the app-level token (xapp-…), for Socket Mode", None, ("SLACK_APP_TOKEN",)
    )
    signing_secret: SecretStr | None = put(
        values.SECRET, "the signing secret, for HTTP", None, ("SLACK_SIGNING_SECRET",)
    )
    api_url: str = put(
        values.SLACK_API, "another Slack Web API, for tests and proxies", "https://slack.com/api/", ("SLACK_API_URL",)
    )
    mode: Literal["socket", "http"] = put(
        values.choice("socket", "http"), "how Slack reaches the bot", "socket", ("SLACK_MODE",)
    )
    http_host: str = put(values.TEXT, "mode `http`: the address to listen on", "127.0.0.1")
    http_port: int = put(values.whole(1, 65535), "mode `http`: the port to listen on", 3000)
    silence: timedelta = put(
        values.lasting(timedelta(hours=1)),
        "mode `socket`: after so long without a frame from Slack, a pong counts, the bot ends with 69, to be started again",
        MIN,
    )
    post_every: timedelta = put(
        values.lasting(MIN, zero=True),
        "the pace of posts in one channel after a burst of four; Slack allows about one a second",
        timedelta(seconds=1),
    )


@dataclass(frozen=True)
class Settings:
    """Everything that is configured. `origins`: dotted key -> where its value came from."""

    default_target: str = put(values.TEXT, "the target meant when none is named", "production", ("ROLLBACK_TARGET",))
    targets: Mapping[str, Target] = field(default_factory=dict, metadata={"map": Target})
    slack: SlackSettings = field(default_factory=SlackSettings, metadata={"table": SlackSettings})
    ledger: Path = field(
        default_factory=lambda: state_dir() / "ledger.db",
        metadata={"kind": values.PATH, "text": "the audit trail, a SQLite file", "env": ()},
    )
    backup_dir: Path = field(
        default_factory=lambda: state_dir() / "backups",
        metadata={"kind": values.PATH, "text": "where backups and saved rows are kept", "env": ()},
    )
    people: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"kind": values.PEOPLE, "text": "operating system account -> Slack user id (the shell)", "env": ()},
    )
    aliases: tuple[tuple[str, ...], ...] = put(values.ALIASES, "user ids of one person, who counts once", ())
    grace: timedelta = put(
        values.lasting(DAY),
        "how long a transaction under way may take to end when the bot is told to end; then it is cut short. At least `lock_wait` and "
        "`statement_timeout` together; the supervisor's own limit must be 30 s longer",
        timedelta(seconds=90),
    )
    health_listen: tuple[str, int] | None = put(
        values.LISTEN,
        "where `/healthz`, `/readyz` and `/metrics` are answered, such as `127.0.0.1:8787`; without it nowhere",
    )
    pg_bin: Path | None = put(
        values.PATH,
        "the folder of pg_dump and pg_restore (and initdb and postgres, for rehearsals), instead of a search",
    )
    log_level: str = put(
        values.choice("debug", "info", "warning", "error"), "how much is logged", "info", ("LOG_LEVEL",)
    )
    log_format: str = put(values.choice("console", "json"), "how it is logged", "console", ("LOG_FORMAT",))
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def target(self, name: str | None = None) -> Target:
        """A target by name, the default one without. Raises Refused(E-TARGET-UNKNOWN)."""
        name = name or self.default_target
        if name in self.targets:
            return self.targets[name]
        known = ", ".join(f"{t} (default)" if t == self.default_target else t for t in self.targets)
        near = get_close_matches(name, self.targets, n=1)
        hint = f"Did you mean `{near[0]}`? " if near else ""
        raise Refused(
            "E-TARGET-UNKNOWN", f"I know no target `{name}`. Targets: {known}.", f"{hint}Nothing was started."
        )

    def one_person(self, user: str) -> str:
        """The id under which a person counts: the first of the aliases, or the id itself."""
        return next((group[0] for group in self.aliases if user in group), user)


def policy(settings: Settings) -> dict[str, Any]:
    """What the bot and a shell on the same audit trail must agree on: who is who, how many must approve and how, who need not wait."""
    targets = sorted(settings.targets.items())
    return {
        "approvals": {name: target.approvals for name, target in targets},
        "approvers": {name: sorted(target.deciders) for name, target in targets},
        "approval_totp": {name: target.approval_totp for name, target in targets},
        "reason": {name: target.reason for name, target in targets},
        "staging": {name: target.staging for name, target in targets if target.require == "staging"},
        "break_glass": {
            name: [*sorted(target.break_glass.people), str(target.break_glass.wait), str(target.break_glass.countdown)]
            for name, target in targets
            if target.break_glass.people
        },
        "people": dict(sorted(settings.people.items())),
        "aliases": [list(group) for group in settings.aliases],
    }
