"""Counts, durations and sizes in words: one form at every door. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: int) -> str:
    """48213 -> 48,213."""
    return f"{value:,}"


def plural(count: int, word: str, many: str | None = None) -> str:
    """2, "table" -> "2 tables"."""
    return f"{number(count)} {word if count == 1 else many or word + 's'}"


def listed(items: Sequence[str]) -> str:
    """a, b and c."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def duration(seconds: float) -> str:
    """Seconds in words: 0.4 s, 38 s, 1 min 55 s, 1 h 4 min."""
    if seconds < 0.05:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


def size(count: int) -> str:
    """Bytes in decimal units: 412 MB, 2.1 GB."""
    if count < 1000:
        return plural(count, "byte")
    value, units = count / 1000, ["kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return (f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}") + f" {units[0]}"
