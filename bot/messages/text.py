"""Words for Slack: escaping, dates, durations, sizes, honest cuts. Pure.

Everything that is data (names, reasons, SQL, errors) passes `data`, `code`, `prose` or `fence` before it
stands in a message. Slack asks for `& < >` to be escaped (docs.slack.dev, "Formatting message text");
formatting signs, emoji names and invisible characters are neutralised as well, because an approver decides
on what he reads here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

from core.quantities import duration as duration
from core.quantities import listed as listed
from core.quantities import number as number
from core.quantities import plural as plural
from core.quantities import size as size
from core.redact import known, visible
from core.telling import MARKED

SECTION = 2800
"""Characters in a section: Slack takes 3,000, the rest is reserve."""
TEXT = 400
"""Characters in the top-level `text` of a message."""

_EMOJI = re.compile(r":(?=[\w+'-]*[A-Za-z+-])([\w+'-]+):|(?<!\d):(\d+):")  # `:100:` is one, `14:02:31` is a time
_EDGE_UNDERSCORE = re.compile(r"(?<!\w)_(?=\S)|(?<=\S)_(?!\w)")
_SHOWN = re.compile(r"<[^|<>]+\|([^<>]*)>")  # what a date or a link shows
_FENCES = re.compile(r"`{3,}")
_ENTITY = re.compile(r"&(?:amp|lt|gt);|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|.", re.DOTALL)


def escape(text: str) -> str:
    """Escape the three characters that Slack's markup is made of."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """Shorten escaped text to `limit` characters, never inside `&amp;` or `\\u202e`; a cut ends in an ellipsis."""
    if len(text) <= limit:
        return text
    kept, size = [], 0
    for piece in _ENTITY.finditer(text):
        size += len(piece.group())
        if size > limit - 1:
            break
        kept.append(piece.group())
    return "".join(kept).rstrip() + "…"


def hidden(whole: str, kept: str) -> str:
    """How much of a text a cut hides, and what proves the whole: `120 more lines, sha256 of the whole 3f2a…`."""
    left = whole.rstrip("\n").count("\n") - kept.count("\n")
    much = f"{plural(left, 'more line')}" if left > 0 else f"{plural(len(whole) - len(kept), 'more character')}"
    return f"{much}, sha256 of the whole `{sha256(whole.encode('utf-8', 'replace')).hexdigest()[:12]}`"


def data(text: str, limit: int = 500) -> str:
    """One line of somebody's words: nothing in it mentions, links, formats or shows an emoji."""
    line = visible(" ".join(known(str(text))[: limit * 2].split())) + ("…" if len(text) > limit * 2 else "")
    line = line.replace("*", "∗").replace("~", "∼").replace("`", "ˋ")
    line = _EMOJI.sub(lambda found: f"∶{found[1] or found[2]}∶", _EDGE_UNDERSCORE.sub("ˍ", line))
    return cut(escape(line), limit)


def code(name: str, limit: int = 300) -> str:
    """A name as inline code; backticks in it cannot end the span."""
    line = visible(" ".join(known(str(name)).split())).replace("`", "ˋ") or " "
    return f"`{cut(escape(line), limit)}`"


def prose(text: str, limit: int = 900) -> str:
    """A sentence of our own core: `code` and single *words* stay marked, everything else is data."""
    text, parts, at = known(text), [], 0
    for match in MARKED.finditer(text):
        parts.append(_kept_spaces(text[at : match.start()]))
        parts.append(code(match[1]) if match[1] else f"*{escape(match[2])}*")
        at = match.end()
    return cut_marked("".join([*parts, _kept_spaces(text[at:])]).strip(), limit)


def _kept_spaces(text: str) -> str:
    inner = data(text, 2000)
    lead = " " if text[:1].isspace() else ""
    tail = " " if inner and text[-1:].isspace() else ""
    return lead + inner + tail


def cut_marked(text: str, limit: int) -> str:
    """Cut mrkdwn and close an inline code span that the cut left open."""
    short = cut(text, limit - 1)
    return short + "`" if short != text and short.count("`") % 2 else short


def bare(text: str, limit: int = 300) -> str:
    """The same sentence for the top-level text: no marks, one line."""
    return data(MARKED.sub(lambda found: found[1] or found[2], known(text)), limit)


def literal(rich: str) -> str:
    """Our own mrkdwn as literal text, for blocks that know no markup: signs, dates and entities become what a reader sees."""
    said = _SHOWN.sub(lambda found: found[1], rich)
    pieces = said.split("`")
    said = "".join(piece if nth % 2 else piece.replace("*", "") for nth, piece in enumerate(pieces))
    return said.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def sql_text(sql: str) -> str:
    """SQL as it may stand between fences: escaped, unseen characters shown, no run of three backticks."""
    return escape(_FENCES.sub(lambda run: " ".join(run.group()), visible(known(sql).replace("\t", "    "))))


def fence(rendered: str) -> str:
    """Put text that `sql_text` made between code fences."""
    inner = rendered.strip("\n")
    if inner.startswith("`"):
        inner = " " + inner
    if inner.endswith("`"):
        inner += " "
    return f"```{inner or ' '}```"


def split(rendered: str, size: int) -> list[str]:
    """Split escaped text into pieces of at most `size` characters, at line ends where there are any."""
    pieces: list[str] = []
    begin = 0
    while len(rendered) - begin > size:
        full = begin + size
        at = rendered.rfind("\n", begin + size // 2, full)
        if at < 0:
            at = full
            for match in re.finditer(r"&(?:amp|lt|gt);|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}", rendered[full - 12 : full + 12]):
                start, end = match.start() + full - 12, match.end() + full - 12
                if start < full < end:
                    at = start
        pieces.append(rendered[begin:at])
        begin = at + rendered.startswith("\n", at)
    return [*pieces, rendered[begin:]]


def several(items: Sequence[str], most: int, room: int = 1200) -> str:
    """a, b and 98 more: the first items, at most so many and in so many characters, and how many are left out."""
    kept: list[str] = []
    for item in items:
        if kept and (len(kept) == most or sum(map(len, kept)) + len(item) > room):
            break
        kept.append(item)
    left = len(items) - len(kept)
    return listed([*kept, *([plural(left, "more", "more")] if left else [])])


def short_hash(digest: str) -> str:
    """A long hash for reading: its first six and last four digits."""
    return code(f"{digest[:6]}…{digest[-4:]}" if len(digest) > 12 else digest)


def moment(value: str | datetime) -> datetime:
    """An RFC 3339 time, or a datetime, as an aware datetime in UTC. Raises ValueError for anything else."""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _date(at: datetime, form: str, fallback: str) -> str:
    return f"<!date^{int(at.timestamp())}^{form}|{fallback}>"


def utc(at: datetime) -> str:
    """14:31 UTC: for texts without markup."""
    return f"{moment(at):%H:%M} UTC"


def utc_day(at: datetime) -> str:
    """10 Dec: for texts without markup."""
    return f"{moment(at).day} {moment(at):%b}"


def clock(at: datetime) -> str:
    """The time of day, in each reader's own zone."""
    return _date(moment(at), "{time}", utc(at))


def clock_secs(at: datetime) -> str:
    """The time of day with seconds, in each reader's own zone."""
    return _date(moment(at), "{time_secs}", f"{moment(at):%H:%M:%S} UTC")


def day(at: datetime) -> str:
    """The date, in each reader's own zone."""
    return _date(moment(at), "{date_short}", f"{utc_day(at)} {moment(at).year}")


def when(at: datetime, now: datetime) -> str:
    """The time of day, with the date when it was not today (both UTC)."""
    at, now = moment(at), moment(now)
    if at.date() == now.date():
        return clock(at)
    return _date(at, "{date_short} {time}", f"{utc_day(at)} {at.year} {utc(at)}")
