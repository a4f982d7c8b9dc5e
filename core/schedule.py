"""When a drill is due, as people write it: `first monday 10:00`, `monday 10:00`, `daily 10:00`, or a cron line.

Weekdays are names only: cron counts from Sunday, APScheduler from Monday, so `0 10 * * 1` would fire on Tuesday.
The result holds the fields of APScheduler's CronTrigger; APScheduler itself is not imported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT = tuple(day[:3].lower() for day in DAYS)
NTH = ("first", "second", "third", "fourth", "fifth")
ORDINALS = ("1st", "2nd", "3rd", "4th", "5th")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days, by month

EXAMPLES = "`first monday 10:00`, `last friday 15:30`, `monday 10:00`, `daily 10:00` or `0 10 * * mon`"
CRON = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12))


@dataclass(frozen=True)
class Schedule:
    """`fields` are keyword arguments for APScheduler's CronTrigger: minute, hour, day, month, day_of_week."""

    text: str
    fields: dict[str, str]

    def describe(self) -> str:
        """In words: "on the first Monday of each month at 10:00"."""
        field = {"day": "*", "month": "*", "day_of_week": "*", **self.fields}
        if not (field["minute"].isdigit() and field["hour"].isdigit() and field["month"] == "*"):
            return f"at the times of the cron line `{self.text}`"
        at = f"at {int(field['hour']):02}:{int(field['minute']):02}"
        if field["day"] == "*" and field["day_of_week"] in SHORT:
            return f"every {DAYS[SHORT.index(field['day_of_week'])]} {at}"
        if field["day"] == "*" and field["day_of_week"] == "*":
            return f"every day {at}"
        which, _, day = field["day"].partition(" ")
        if day:
            nth = NTH[ORDINALS.index(which)] if which in ORDINALS else which
            return f"on the {nth} {DAYS[SHORT.index(day)]} of each month {at}"
        return f"at the times of the cron line `{self.text}`"


def parse(text: str) -> Schedule:
    """Read a schedule. Raises ValueError with a sentence that ends in an example."""
    if not text.isascii():  # other scripts' digits count as digits in Python, not in APScheduler
        raise ValueError(f"holds characters that are not ASCII; write {EXAMPLES}")
    words = text.lower().split()
    if len(words) == 5:
        return Schedule(" ".join(words), _cron(words))
    if len(words) not in (2, 3):
        raise ValueError(f"is not a schedule; write {EXAMPLES}")
    hour, minute = _time(words[-1])
    fields = {"minute": minute, "hour": hour}
    if len(words) == 3:
        fields["day"] = f"{_nth(words[0])} {_weekday(words[1])}"
    elif words[0] not in ("daily", "day"):
        fields["day_of_week"] = _weekday(words[0])
    return Schedule(" ".join(words), fields)


def _time(word: str) -> tuple[str, str]:
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", word)
    if not found:
        raise ValueError("needs a time of day from 00:00 to 23:59, such as `first monday 10:00`")
    return str(int(found[1])), str(int(found[2]))


def _nth(word: str) -> str:
    if word == "last":
        return word
    if word in NTH:
        return ORDINALS[NTH.index(word)]
    if word in ORDINALS:
        return word
    raise ValueError("counts weekdays as first, second, third, fourth, fifth or last, as in `first monday 10:00`")


def _weekday(word: str) -> str:
    full = [day.lower() for day in DAYS]
    if word in SHORT:
        return word
    fits = [day for day in full if len(word) > 3 and day.startswith(word)]  # tues, weds is not one, thurs
    if len(fits) == 1:
        return fits[0][:3]
    near = get_close_matches(word, [*full, "daily"], n=1)
    raise ValueError(f"names no weekday; {f'did you mean `{near[0]}`?' if near else f'write {EXAMPLES}'}")


def _cron(words: list[str]) -> dict[str, str]:
    for (name, low, high), word in zip(CRON, words, strict=False):
        _range(name, word, low, high)
    *_, day, month, weekday = words
    if re.search(r"\d", weekday):
        raise ValueError(
            "counts weekdays in numbers, which cron and APScheduler read differently; write names, as in `0 10 * * mon`"
        )
    if day != "*" and weekday != "*":
        raise ValueError(
            "restricts both day and weekday, which cron reads as either and APScheduler as both; "
            "write `first monday 10:00`"
        )
    _possible(day, month)
    return dict(zip(("minute", "hour", "day", "month", "day_of_week"), [*words[:4], _days(weekday)], strict=True))


def _range(name: str, word: str, low: int, high: int) -> None:
    """One cron field: `*`, `*/n`, `a`, `a-b`, `a-b/n`, and lists of them."""
    for part in word.split(","):
        found = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d{1,3}))?", part)
        if not found:
            raise ValueError(f"has a {name} that cron does not know; write `0 10 * * mon`")
        first = low if found[1] is None else _number(name, found[1])
        last = high if found[1] is None or (found[3] and not found[2]) else _number(name, found[2] or found[1])
        if not low <= first <= last <= high:
            raise ValueError(f"has a {name} outside {low} to {high}")
        if found[3] and not 1 <= int(found[3]) <= max(last - first, 1):
            raise ValueError(f"has a step of {name} that is wider than its range")


def _number(name: str, word: str) -> int:
    if name == "month" and word in MONTHS:
        return MONTHS.index(word) + 1
    if not word.isascii() or not word.isdigit():
        raise ValueError(f"has a {name} that is no number; write `0 10 * * mon`")
    return int(word)


def _possible(day: str, month: str) -> None:
    """Refuse what never comes, such as 30 February."""
    if "*" in day or not re.fullmatch(r"\w+", month):
        return
    first = min(int(number) for number in re.findall(r"(?:^|,)(\d+)", day))
    if first > LONGEST[_number("month", month) - 1]:
        raise ValueError("names a day that the month does not have")


def _days(word: str) -> str:
    if word == "*":
        return word
    parts = []
    for part in word.split(","):
        ends = [_weekday(end) for end in part.split("-")]
        if len(ends) > 2 or SHORT.index(ends[0]) > SHORT.index(ends[-1]):
            raise ValueError("has weekdays that are no range; they run from mon to sun, as in `0 10 * * mon-fri`")
        parts.append("-".join(ends))
    return ",".join(parts)
