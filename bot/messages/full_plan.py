"""Everything that is approved, in pages; nothing is cut."""

from __future__ import annotations

import json
from collections.abc import Iterable

from bot.messages.blocks import actions, button, context, in_batches, plain, section, value
from bot.messages.evidence import aside_lines
from bot.messages.facts import afterwards, commit_of, names, one_row, staged, undo
from bot.messages.plan import difference, in_use, loss_line, losses
from bot.messages.text import code, data, fence, listed, moment, number, plural, prose, size, split, sql_text
from core.model import Json, Run
from core.telling import lock

_PIECE = 2700  # of a section's 2,800 characters, with room for the fences
_PAGE = 90_000  # characters a page: Slack takes 250 kB for a view, and JSON doubles some of them
_BLOCKS = 60  # of the 100 that a view may have


def pages(run: Run) -> list[list[Json]]:
    """All sections of the plan, page by page; at least one page."""
    return paged(_sections(run))


def paged(blocks: Iterable[Json]) -> list[list[Json]]:
    """Blocks, as many to a page as a view takes; at least one page."""
    made: list[list[Json]] = [[]]
    held = 0
    for block in blocks:
        weight = len(json.dumps(block))
        if made[-1] and (held + weight > _PAGE or len(made[-1]) >= _BLOCKS):
            made.append([])
            held = 0
        made[-1].append(block)
        held += weight
    return made


def full_plan(run: Run, page: int = 1) -> Json:
    """One page as a modal; a page that is not there becomes the nearest one.

    The buttons to other pages carry `rb.plan` and `RUN.revision`; their block id is `page:N` (see `page_of`).
    """
    return book(run, pages(run), page, "rb.plan", f"Plan {run.id}, rev. {run.revision}")


def book(run: Run, every: list[list[Json]], page: int, action: str, title: str) -> Json:
    """One page of a modal, with buttons to the others; a page that is not there becomes the nearest one."""
    page = min(max(page, 1), len(every))
    blocks = [*every[page - 1], context(f"Page {page} of {len(every)}", "Nothing is cut")]
    what = "plan" if action == "rb.plan" else "report"
    if page < len(every):
        blocks.append(_turn(run, page + 1, "Next page", action, what))
    if page > 1:
        blocks.append(_turn(run, page - 1, "Previous page", action, what))
    return {
        "type": "modal",
        "callback_id": action,
        "private_metadata": json.dumps({"run": run.id, "rev": run.revision, "page": page}),
        "title": plain(title, 24),
        "close": plain("Close", 24),
        "blocks": blocks,
    }


def _turn(run: Run, page: int, words: str, action: str, what: str) -> Json:
    label = f"{words} of the {what} of {run.id}, page {page}"
    return actions(f"page:{page}", button(words, action, value(run), label))


def page_of(block_id: str) -> int | None:
    """The page that a button of `book` leads to; None for buttons elsewhere."""
    head, _, tail = block_id.partition(":")
    return int(tail) if head == "page" and tail.isascii() and tail.isdigit() and len(tail) < 6 else None


def _sections(run: Run) -> list[Json]:
    return [
        _head(run),
        *_order(run),
        *_scripts(run),
        *_losses(run),
        *_seen(run),
        *_differences(run),
        *_locks(run),
        *_history(run),
    ]


def _head(run: Run) -> Json:
    found = run.evidence.get("identify", {}).get("database", {})
    where = f"{code(str(found.get('name', '')))} at {code(str(found.get('host', '')))}"
    identity = f"PostgreSQL {data(str(found.get('server_version', '')), 20)}, system identifier "
    identity += code(str(found.get("system_identifier", "")))
    plan = f"Plan {code(run.digest)}, revision {run.revision}"
    plan += f"\nScripts from commit {code(commit[:12])}" if (commit := commit_of(run)) else ""
    plan += f"\n{there[0]}: {there[1]}" if (there := staged(run, moment(run.created_at))) else ""
    return section(f"*{data(run.target, 60)}*: {where}, {identity}\n{plan}")


def _order(run: Run) -> list[Json]:
    lines = [f"{nth}. {code(one)}" for nth, one in enumerate(names(run), 1)]
    return in_batches([*lines, afterwards(run)], 41, "*In this order*") if lines else []


def _scripts(run: Run) -> list[Json]:
    blocks: list[Json] = []
    for nth, one in enumerate(undo(run), 1):
        script = one["script"]
        every = script.get("statements", [])
        head = f"*{nth}.* {code(script['file'])} sha256 {code(str(script['sha256']))}, "
        head += f"{plural(len(every), 'statement')}, {size(int(script.get('bytes', 0)))}"
        blocks += in_batches([f":warning: {prose(str(word), 900)}" for word in one.get("warnings", [])], 40, head) or [
            section(head)
        ]
        sql = "\n".join(_ended(sql_text(statement["sql"])) for statement in every)
        blocks += [section(fence(piece)) for piece in split(sql, _PIECE)]
    return blocks


def _ended(sql: str) -> str:
    stripped = sql.strip("\n").rstrip()
    return stripped if stripped.endswith(";") else stripped + ";"


def _losses(run: Run) -> list[Json]:
    lines = [loss_line(one) for one in losses(run)]
    if not lines:
        return [section("*Will be deleted*: no table and no column")]
    return in_batches(lines, 40, f"*Will be deleted*: {plural(len(lines), 'object')}")


def _differences(run: Run) -> list[Json]:
    found = run.evidence.get("rehearse", {})
    lines = [difference(one) for one in found.get("differences", [])]
    if not lines:
        return []
    return in_batches(lines, 40, f"*Differs from the schema before*: {plural(len(lines), 'difference')}")


def _seen(run: Run) -> list[Json]:
    """What the rehearsal saw and no statement says, whole."""
    found = run.evidence.get("rehearse", {})
    cascaded = [f"• {data(one['kind'], 40)} {code(one['name'])}" for one in found.get("cascaded", [])]
    rewritten = [f"• {code(one)}" for one in found.get("rewritten", [])]
    notes = [f"• {prose(note, 1000)}" for note in found.get("notes", [])]
    parts = [f"{nth}. {prose(one['about'], 500)}" for nth, one in enumerate(found.get("parts", ()), 1)]
    aside = [f"• {line}" for line in aside_lines(found.get("back", {}))]
    lists = (
        ("*Taken along by CASCADE, not named in the script*", cascaded),
        ("*Rewrites whole tables under a lock*", rewritten),
        ("*In use when the plan was made*", in_use(run, 20)),
        ("*Parts, one after the other*", parts),
        ("*Saved rows that no longer fit, kept aside*", aside),
        ("*About the proof*", notes),
    )
    return [block for head, lines in lists if lines for block in in_batches(lines, 20, head)]


def _locks(run: Run) -> list[Json]:
    lines = [
        f"• {data(lock(str(one['mode'])), 60)} on {code(str(one['table']))}"
        for one in run.evidence.get("rehearse", {}).get("locks", [])
    ]
    return in_batches(lines, 40, f"*Locks* ({number(len(lines))})") if lines else []


def _history(run: Run) -> list[Json]:
    table = run.evidence.get("identify", {}).get("history_table")
    versions = [code(str(one["version"])) for one in undo(run)]
    if not table or not versions:
        return []
    few = len(versions) <= 40 and sum(map(len, versions)) < 2000
    which = listed(versions) if few else f"the rows of all {number(len(versions))} migrations"
    if run.kind == "reapply":
        return [section(f"*History table*: puts {which} back into {code(str(table))}, in the same transaction")]
    if now := one_row(run):
        return [section(f"*History table*: {code(str(table))} is {now}, in the same transaction")]
    return [section(f"*History table*: deletes {which} from {code(str(table))}, in the same transaction")]
