"""Every word the bot says in Slack: ledger records in, Block Kit and plain text out. Pure.

No input or output, no clock: what a message needs to know comes in as an argument.
"""

from bot.messages.answers import (
    MigrationRow,
    TargetNow,
    history,
    migrations,
    plan_private,
    slack_was_away,
    status,
    timeline,
    whoami,
)
from bot.messages.applied import history_emptied, no_way_back, out_of_order, unapplied
from bot.messages.asking import EXTENTS, Asked, choices, elsewhere, follows, request, why
from bot.messages.attention import unwritten
from bot.messages.audit import audit, witness
from bot.messages.blocks import Context, Message, section
from bot.messages.card import card, planning
from bot.messages.checkup import checkup
from bot.messages.direct import direct, direct_decided, direct_void
from bot.messages.drills import (
    DrillOwner,
    drill_agreed,
    drill_asks,
    drill_due,
    drill_ended,
    drill_on_a_plan,
    drill_skip,
    drill_standing,
    drill_started,
    drill_step,
    drill_waits,
)
from bot.messages.full_plan import full_plan, page_of, pages
from bot.messages.glass import broken, counts, direct_broken
from bot.messages.help import help_
from bot.messages.home import DrillNow, Tab, answer, home
from bot.messages.readiness import backup_old, backup_over, board, readiness_changed, readiness_line
from bot.messages.refusals import refusal
from bot.messages.report import report
from bot.messages.second_factor import authenticator, confirm_yours, tried
from bot.messages.stats import month, stats
from bot.messages.thread import broadcast, tells, thread
from bot.messages.views import (
    break_glass_form,
    loading,
    owed_form,
    reapply_form,
    reason,
    refused,
    restore_form,
    review,
)
from core.confirming import confirm_word

__all__ = [
    "EXTENTS",
    "Asked",
    "Context",
    "DrillNow",
    "DrillOwner",
    "Message",
    "MigrationRow",
    "Tab",
    "TargetNow",
    "answer",
    "audit",
    "authenticator",
    "backup_old",
    "backup_over",
    "board",
    "break_glass_form",
    "broadcast",
    "broken",
    "card",
    "checkup",
    "choices",
    "confirm_word",
    "confirm_yours",
    "counts",
    "direct",
    "direct_broken",
    "direct_decided",
    "direct_void",
    "drill_agreed",
    "drill_asks",
    "drill_due",
    "drill_ended",
    "drill_on_a_plan",
    "drill_skip",
    "drill_standing",
    "drill_started",
    "drill_step",
    "drill_waits",
    "elsewhere",
    "follows",
    "full_plan",
    "help_",
    "history",
    "history_emptied",
    "home",
    "loading",
    "migrations",
    "month",
    "no_way_back",
    "out_of_order",
    "owed_form",
    "page_of",
    "pages",
    "plan_private",
    "planning",
    "readiness_changed",
    "readiness_line",
    "reapply_form",
    "reason",
    "refusal",
    "refused",
    "report",
    "request",
    "restore_form",
    "review",
    "section",
    "slack_was_away",
    "stats",
    "status",
    "tells",
    "thread",
    "timeline",
    "tried",
    "unapplied",
    "unwritten",
    "whoami",
    "why",
    "witness",
]
