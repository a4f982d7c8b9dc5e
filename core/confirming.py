"""What people type to approve, so that data goes by nobody's haste: the same word at every door."""

from __future__ import annotations

from core.model import Run


def confirm_word(run: Run) -> str | None:
    """What must be typed to approve: the version of the oldest migration that goes; of a restore the target's name.

    None where no data goes.
    """
    if run.kind == "restore":
        return run.target
    return oldest(run) if run.kind == "rollback" and data_goes(run) else None


def oldest(run: Run) -> str:
    """The version of the oldest migration that goes: "before" is before this one."""
    return str(run.going[-1]["version"]) if run.going else run.request.migration or ""


def data_goes(run: Run) -> bool:
    """Do rows or values go? An estimate of zero is no proof of an empty table."""
    return any(
        one["kind"] in ("table", "column", "rows") and (one.get("rows") != 0 or one.get("about"))
        for one in run.evidence.get("rehearse", {}).get("losses", [])
    )
