"""`/rollback help`, whole or for one verb. Only what this version does."""

from __future__ import annotations

from bot.messages.blocks import Message, context, message, section
from bot.messages.text import bare, code, data

_UNDO = (
    "*Undo*\n"
    "`/rollback 011_subscriptions` — that migration *and everything applied after it*, newest first\n"
    "`/rollback latest` — only the newest\n"
    "`/rollback to 010_rate_limits` — keep that one, undo everything after it\n"
    "`/rollback plan …` — only show what would happen\n"
    "`/rollback` — a form that lists what is applied\n"
    "_Add_ `--on staging` · `--reason text` · `--incident INC-418` · `--only` (exactly that one, if nothing later needs it)"
)
_DECIDE = (
    "*Decide*\n"
    "`/rollback approve RB-7K3M` · `deny RB-7K3M reason` · `withdraw RB-7K3M` · `stop RB-7K3M`\n"
    "A second person always approves; who asked cannot."
)
_LOOK = "*Look*\n`/rollback status` · `history` · `stats` · `show RB-7K3M` · `report RB-7K3M` · `migrations` · `audit verify` · `whoami` · `doctor`"

_READY = "*Be ready*\n`/rollback backup` · `readiness` · `readiness now`"

VERBS = {
    "plan": ("plan <migration> | latest | to <migration>", "Shows the plan, only to you. Nothing is started."),
    "latest": ("latest", "Undoes the newest migration, after a second person has approved."),
    "to": ("to <migration>", "Keeps that migration and undoes everything applied after it."),
    "status": ("status [RUN]", "What is open now, with the link to its card, and the newest migration of each target."),
    "history": ("history [1..20] [--on TARGET] [--by PERSON]", "The last rollbacks."),
    "stats": ("stats [1..36] [--on TARGET]", "Rollbacks and drills by month: how many, and how long they took."),
    "show": ("show RUN", "The timeline of one rollback, with audit numbers."),
    "report": (
        "report RUN",
        "All that is known of one run, as Markdown for a postmortem, to be copied. The shell writes it into a file, or as a page.",
    ),
    "migrations": ("migrations [--on TARGET]", "What is applied, newest first, and what has a rollback script."),
    "approve": (
        "approve RUN",
        "Opens the review. The requester cannot approve; nothing is approved by the command alone.",
    ),
    "break-glass": (
        "break-glass RUN",
        "Opens the form to start without a second person, for those whom the target names for it. Anyone can stop it.",
    ),
    "deny": ("deny RUN REASON", "Ends the run. Everyone in the channel sees the reason."),
    "withdraw": ("withdraw RUN", "Takes back what is yours: your request, or your approval until step 5 starts."),
    "stop": ("stop RUN", "Stops a run before it changes the target. `cancel` means the same."),
    "backup": (
        "backup [--on TARGET]",
        "Takes a backup of everything now and proves that it can be put back. The channel hears how it ends.",
    ),
    "readiness": (
        "readiness [now] [--on TARGET]",
        "Could the newest migrations be undone now? `now` tries it on a restored copy; the target is only read.",
    ),
    "audit": ("audit [RUN | verify]", "`verify` walks the whole chain of events and shows its head."),
    "totp": (
        "totp [status] | totp confirm WORD",
        "Who has an authenticator; confirms yours. It is enrolled in the shell: `rollback totp enroll`.",
    ),
    "whoami": ("whoami", "What you may ask for and what you may approve."),
    "doctor": ("doctor", "Is everything in place? Each fault with its remedy."),
    "help": ("help [VERB]", "This text, or one verb."),
}


def help_(verb: str | None = None) -> Message:
    """All words, or one verb's; an unknown verb gets the whole."""
    if verb and verb.lower() in VERBS:
        usage, words = VERBS[verb.lower()]
        line = f"/rollback {usage}"
        rich = section(f"{code(line)}\n{words}")
        return message(f"{data(line)} — {bare(words)}", [rich, context("`/rollback help` lists all")])
    text = (
        "Rollback Bot help. /rollback 011_subscriptions undoes that migration and everything applied after it. "
        "Also: latest, to, plan, status, history, stats, show, report, migrations, backup, readiness, approve, deny, withdraw, stop, audit verify, whoami. "
        "A second person always approves."
    )
    small = context(
        "Commands do not work inside threads; the shortcut *Plan a rollback for this* in a message's menu does",
        "The shell knows the same words: `rollback 011_subscriptions`",
    )
    return message(text, [section(_UNDO), section(_DECIDE), section(_LOOK), section(_READY), small])
