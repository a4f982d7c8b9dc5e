"""The verbs of `/rollback` and `rollback`: how each is typed, what it does, and what people type instead."""

from __future__ import annotations

VERBS: dict[str, tuple[str, str]] = {
    "request": (
        "MIGRATION | latest | to MIGRATION  [--on TARGET] [--reason TEXT] [--incident TEXT] [--only]",
        "ask to undo that migration and everything applied after it (`to`: that one stays; `--only`: only that one)",
    ),
    "plan": ("plan MIGRATION | latest | to MIGRATION  [--on TARGET] [--only]", "only show what would happen"),
    "approve": ("approve RUN", "agree to a plan; a second person does"),
    "break-glass": (
        "break-glass RUN",
        "in Slack only: start without a second person, where a target names people for it; the channel can stop it",
    ),
    "deny": ("deny RUN TEXT", "say no to a plan, and why"),
    "withdraw": ("withdraw RUN [TEXT]", "take back your request or your approval"),
    "stop": ("stop RUN", "stop a run before it changes the database"),
    "resume": (
        "resume RUN",
        "go on after an interruption: execute again what did not commit, or end what is half done",
    ),
    "verify": ("verify RUN", "check a result that differed once more"),
    "keep": ("keep RUN", "accept a result that differs, or what is half done"),
    "reapply": ("reapply RUN [--reason TEXT]", "forward again, with the saved rows; keeps every write made since"),
    "restore": (
        "restore RUN [--reason TEXT] [--drop-old]",
        "put the full backup back; loses writes made since (`--drop-old`: drop the database that a restore has set aside)",
    ),
    "release": ("release RUN", "let the migrations that a rollback undid be applied again"),
    "status": ("status [RUN]", "what is open now, or where one run stands"),
    "history": ("history [1..20] [--on TARGET] [--by PERSON]", "the newest runs and how they ended"),
    "stats": (
        "stats [1..36] [--on TARGET] [--csv]",
        "rollbacks and drills by month: how many, how long people and steps took (`--csv`: in the shell only)",
    ),
    "show": ("show RUN", "everything about one run"),
    "report": (
        "report RUN [--html] [--out FILE]",
        "all that is known of one run, as Markdown for a postmortem (in the shell only, `--html`: a page; `--out`: a new file)",
    ),
    "migrations": ("migrations [--on TARGET]", "what is applied, and what has a rollback script"),
    "check": (
        "check [FOLDER] [--layout NAME] [--since VERSION] [--on TARGET] [--scratch URL] [--junit FILE]"
        " [--baseline FILE] [--write-baseline FILE] [--json]",
        "in the shell only: try every migration up, down and up again on a scratch server",
    ),
    "guard": (
        "guard [--on TARGET] -- COMMAND ...",
        "in the shell only: run a command that applies migrations, after a proven backup, and try what it has applied",
    ),
    "readiness": ("readiness [now] [--on TARGET]", "could the newest migrations be undone now? (`now`: try it)"),
    "drill": (
        "drill [start | status | agree | stop | skip TEXT | snooze DAYS] [--on TARGET]",
        "practise a rollback and both ways back on a copy",
    ),
    "backup": ("backup [--on TARGET]", "take a backup now, and prove that it can be put back"),
    "audit": (
        "audit [RUN | verify [--witness [FILE]] | export]",
        "the audit trail: look at it, verify its chain, export it (`--witness`: hold it against what was posted in Slack)",
    ),
    "totp": (
        "totp [status | enroll | confirm WORD | remove [PERSON]]",
        "your authenticator: enroll and remove it in the shell, confirm it in Slack",
    ),
    "whoami": ("whoami", "what you may ask and approve"),
    "doctor": ("doctor", "is everything in place?"),
    "init": ("init [FOLDER]", "in the shell only: write a first `rollback.toml` from what is found here"),
    "completion": (
        "completion bash | zsh | fish",
        "in the shell only: print the script that completes verbs, flags, targets, runs and migrations",
    ),
    "help": (
        "help [VERB] [--man]",
        "this text, or everything about one verb (`--man`: the manual page, in the shell only)",
    ),
}
"""Verb -> how it is typed, and what it does. `request` is what happens without a verb."""

OTHER_WORDS = {
    "cancel": "stop", "abort": "stop", "halt": "stop", "kill": "stop", "delete": "deny", "decline": "deny",
    "reject": "deny", "refuse": "deny", "no": "deny", "yes": "approve", "ok": "approve", "accept": "approve",
    "confirm": "approve", "list": "migrations", "log": "history", "statistics": "stats", "stauts": "status", "state": "status", "logs": "history", "info": "show", "retract": "withdraw",
    "dryrun": "plan", "newest": "latest", "last": "latest",
}  # fmt: skip
"""What people type for a word of ours. Only `cancel` is understood; the others are suggestions."""
LEAVE_OUT = frozenset({"undo", "revert", "rollback", "request"})
"""What people put before the migration although nothing belongs there."""
