"""The targets of every world: one or two approvals, by group and by id, with break-glass by id and by group."""

from __future__ import annotations

from datetime import timedelta

from core.redact import SecretStr
from core.settings import BreakGlass, Drill, Target
from tests.simulator.people import ANA, BY_ID, DAN

MINUTE = timedelta(minutes=1)
TARGETS = {
    "production": Target(
        "production", SecretStr("postgresql://"), SecretStr("postgresql://scratch"), channel="#incidents",
        approvers=("@db-oncall",), drill=Drill("daily 10:00"), break_glass=BreakGlass((ANA, DAN), MINUTE, MINUTE / 2),
    ),
    "billing": Target(
        "billing", SecretStr("postgresql://"), SecretStr("postgresql://scratch"), channel="#incidents", approvals=2,
        approvers=("@db-oncall", BY_ID), reason="required", break_glass=BreakGlass(("@db-oncall",), 2 * MINUTE, MINUTE / 6),
    ),
}  # fmt: skip
