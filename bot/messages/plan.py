"""What a plan would do: what is lost, its SQL, and what must be seen before all else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.messages.blocks import IN_PLAN, at_most
from bot.messages.evidence import aside_lines, holder
from bot.messages.facts import undo
from bot.messages.text import (
    bare,
    clock,
    code,
    data,
    duration,
    fence,
    hidden,
    listed,
    number,
    plural,
    prose,
    several,
    size,
    sql_text,
)
from core import staging
from core.confirming import data_goes, oldest
from core.model import Json, Run

_SQL_LINES, _SQL_SIZE = 15, 1500  # limits of the preview of the SQL


def losses(run: Run) -> list[Json]:
    """What the rehearsal saw go, the biggest first: tables, columns, then the rest."""
    found = run.evidence.get("rehearse", {}).get("losses", [])
    rank = {"table": 0, "column": 1}
    return sorted(found, key=lambda one: (rank.get(one["kind"], 2), -int(one.get("rows") or 0)))


def loss_words(run: Run) -> str:
    """57,333 rows in 2 tables and 1 column; empty when nothing goes."""
    all_losses = losses(run)
    tables = [one for one in all_losses if one["kind"] == "table"]
    columns = sum(one["kind"] == "column" for one in all_losses)
    others = len(all_losses) - len(tables) - columns
    parts = []
    if tables:
        about = "about " if any(one.get("about") for one in tables) else ""
        rows = sum(int(one.get("rows") or 0) for one in tables)
        parts.append(f"{about}{plural(rows, 'row')} in {plural(len(tables), 'table')}")
    if columns:
        parts.append(plural(columns, "column"))
    if others:
        parts.append(plural(others, "other object") if parts else plural(others, "object"))
    return listed(parts)


def deletes(run: Run) -> str:
    """The loss as a sentence."""
    words = loss_words(run)
    return f"Deletes {words}." if words else "Deletes no table and no column."


def loss_line(one: Json) -> str:
    """One lost object, with its rows where it has any."""
    kind, about = str(one["kind"]), "about " if one.get("about") else ""
    unit = {"table": "row", "column": "value", "rows": "row"}.get(kind)
    head = f"• {'all rows of' if kind == 'rows' else data(kind, 40)} {code(str(one['name']))}"
    if unit is None:
        return head
    if one.get("rows") is None:
        return f"{head}: {unit}s not counted"
    rows = int(one["rows"])
    return f"{head}: {about}*{number(rows)}* {unit if rows == 1 else unit + 's'}{written(one)}"


def written(one: Json) -> str:
    """How many of the rows are younger than the migration, or that nothing tells."""
    if "since" not in one:
        return ""
    if one["since"] is None:
        return "; no column tells how many are new"
    if one["since"] == 0:
        return ", none written since the migration"
    last = f", the last at {clock(datetime.fromisoformat(one['last_write']))}" if one.get("last_write") else ""
    return f", {number(one['since'])} of them written since the migration{last}"


def in_use(run: Run, most: int = 3) -> list[str]:
    """Who uses the affected tables at this moment: counters over about a second, and who holds locks (at most so many)."""
    lines = []
    for one in run.evidence.get("rehearse", {}).get("usage", []):
        floor = {"reads": 9, "writes": 0}  # our own questions and a health check are reads too
        parts = [f"{number(one[what])} {what}" for what in floor if one[what] > floor[what]]
        held = [holder(each) for each in one["holders"]]
        told = f"{' and '.join(parts)} within {one['per']} s" if parts else ""
        if told or held:
            holding = f"held by {several(held, most, 2000)}" if held else ""
            lines.append(
                f"• {code(one['table'].removeprefix('public.'))}: {', '.join(x for x in (told, holding) if x)}"
            )
    return lines


def loss_section(run: Run) -> str:
    """What will be deleted and where the only copy of it will be."""
    lines = [loss_line(one) for one in losses(run)]
    if not lines:
        return "*Will be deleted*: no table and no column; the rehearsal saw nothing else go."
    kept = f"\n{saved_first(run)}" if data_goes(run) else ""
    now = in_use(run)
    used = "\n" + "\n".join(["*In use now*", *at_most(now, 5, IN_PLAN, 700)]) if now else ""
    return "\n".join(["*Will be deleted* :warning:", *at_most(lines, 15, IN_PLAN, 1600)]) + kept + used


def saved_first(run: Run) -> str:
    """Where what goes will be kept, and how long the tables are locked for it."""
    back = run.evidence.get("test restore", {}).get("way_back", {})
    foretold = run.evidence.get("rehearse", {}).get("save")
    about = ""
    if "bytes" in back:
        about = f": {size(int(back['bytes']))} in {duration(float(back['save_seconds']))} on the copy"
    elif foretold:
        about = f": about {size(int(foretold['bytes']))} in {duration(float(foretold['seconds']))}"
    return f"Saved first, under the lock, so that *Re-apply* can put it back{about}."


def statements(run: Run) -> list[Json]:
    """All statements, each with the file it stands in, in the order of execution."""
    return [
        {**statement, "file": one["script"]["file"]}
        for one in undo(run)
        for statement in one.get("script", {}).get("statements", [])
    ]


def sql_section(run: Run) -> str:
    """The first statements, whole, in at most 15 lines and 1,500 characters, and how many are left."""
    every = statements(run)
    lines: list[str] = []
    shown, file = 0, None
    for one in every:
        head = [] if one["file"] == file else ["-- " + data(one["file"], 200)]
        body = _with_semicolon(sql_text(one["sql"][: _SQL_SIZE * 2])).split("\n")
        more = [*lines, *head, *body]
        if len(one["sql"]) > _SQL_SIZE or len(more) > _SQL_LINES or len("\n".join(more)) > _SQL_SIZE:
            break
        lines, shown, file = more, shown + 1, one["file"]
    head_line = f"*{'Rollback' if run.kind == 'rollback' else 'Migration'} SQL* ({number(shown)} of {plural(len(every), 'statement')}"
    rest = ", " + IN_PLAN if shown < len(every) else ""
    left = f"\n… {hidden(whole(every), whole(every[:shown]))}" if shown < len(every) else ""
    return f"{head_line}{rest})" + (f"\n{fence(chr(10).join(lines))}" if shown else "") + left


def whole(every: Sequence[Json]) -> str:
    """All statements as one text: what its SHA-256 is of."""
    return "".join(_with_semicolon(one["sql"]) + "\n" for one in every)


def _with_semicolon(sql: str) -> str:
    stripped = sql.rstrip()
    return stripped if stripped.endswith(";") else stripped + ";"


def warnings(run: Run) -> list[str]:
    """What must be seen before all else: a changed plan, a schema that does not come back, doubts about a script."""
    found = run.evidence.get("rehearse", {})
    lines: list[str] = not_on_staging(run)
    if found.get("restores") == "differs":
        lines.append(f":warning: *The script does not restore the schema from before {code(oldest(run))}*")
        lines += at_most([difference(one) for one in _harmful_first(found)], 12, IN_PLAN, 1500)
        lines.append("Approving accepts this difference; it is written to the audit trail.")
    if found.get("restores") == "unknown":
        why = prose(found.get("why_unknown") or "the rehearsal could not compare it", 400)
        lines.append(f":warning: *Not proven that the schema from before {code(oldest(run))} comes back*: {why}")
    lines += beyond_the_script(found)
    back = run.evidence.get("test restore", {}).get("way_back", {})
    if back.get("works") is False:
        why = prose(str(back.get("why") or "rows do not fit"), 300)
        lines.append(f":warning: *Re-apply did not put everything back on the copy*: {why}")
    doubts = [f"• {prose(word, 200)}" for one in undo(run) for word in one.get("warnings", [])]  # each names its file
    if doubts:
        lines += [":warning: *About the scripts*", *at_most(doubts, 6, IN_PLAN, 800)]
    return lines


def not_on_staging(run: Run) -> list[str]:
    """That the scripts had to run on the staging target first, and did not when the plan was made."""
    there = run.evidence.get("identify", {}).get("staging")
    if not there or not there["required"] or not (missing := staging.lacking(there)):
        return []
    which = several([code(one) for one in missing], 5)
    on = data(there["target"], 60)
    return [
        f":warning: *Not run on {on} to a verified end*: {which}",
        "Approving is refused until that has happened; only break-glass starts it before.",
    ]


def beyond_the_script(found: Json) -> list[str]:
    """What the rehearsal saw and no statement says: parts, cascades, rewrites, and that the way forward is broken."""
    lines = []
    parts = [f"{n}. {prose(one['about'], 150)}" for n, one in enumerate(found.get("parts", ()), 1)]
    if parts:
        head = f":warning: *Not one transaction, {len(parts)} parts*: cut short in between, a person decides"
        lines += [head, *at_most(parts, 8, IN_PLAN, 900)]
    if found.get("cascaded"):
        names = [f"• {data(one['kind'], 40)} {code(one['name'])}" for one in found["cascaded"]]
        lines += [":warning: *Taken along by CASCADE, not named in the script*", *at_most(names, 8, IN_PLAN, 900)]
    if found.get("rewritten"):
        tables = at_most([code(one) for one in found["rewritten"]], 6, IN_PLAN)
        lines.append(f":warning: *Rewrites whole tables under a lock*: {', '.join(tables)}")
    if found.get("reapplies") is False:
        why = prose(found.get("why_not_reapplies") or "another schema comes out", 300)
        lines.append(f":warning: *The migration does not apply again afterwards*: {why}")
    if found.get("back", {}).get("aside"):
        lines += [
            ":warning: *Saved rows that no longer fit are kept aside*",
            *at_most([f"• {one}" for one in aside_lines(found["back"])], 8, IN_PLAN, 1500),
        ]
    lines += at_most([f"• {prose(note, 300)}" for note in found.get("notes", [])], 4, IN_PLAN)
    return lines


def _harmful_first(found: Json) -> list[Json]:
    return sorted(found.get("differences", []), key=lambda one: one.get("severity") != "harmful")


def difference(one: Json) -> str:
    """One difference as the rehearsal words it."""
    words = one.get("message") or f"{one.get('change', '')} {one.get('kind', '')} `{one.get('object', '')}`"
    return f"• {prose(str(words).strip(), 300)}"


def differs_words(run: Run) -> str:
    """The warning for texts without markup; empty when the schema comes back."""
    found = run.evidence.get("rehearse", {})
    if found.get("restores") == "differs":
        first = _harmful_first(found) or [{}]
        told = bare(str(first[0].get("message", "")), 90)
        return f"Warning: the script does not restore the schema from before {data(oldest(run), 40)}: {told}."
    if found.get("restores") == "unknown":
        return "Warning: not proven that the schema from before comes back."
    return ""
