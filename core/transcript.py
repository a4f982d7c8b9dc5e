"""What one run prints in the shell, as it goes: ledger records in, lines out. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.lines import FAILED, OK, RUNNING, WARNING, Line, line
from core.model import STEPS, Event, Json, Run, State
from core.printed_plan import Row, head, saved
from core.printing import here, plain
from core.quantities import duration as seconds
from core.quantities import plural as many
from core.quantities import size
from core.under_way import QUIET, counted, rough, time_left

if TYPE_CHECKING:
    from core.meter import HowFar
    from core.settings import Target

NAMES = {"backup": "back up", "prepare": "put in"}
"""Steps that are told by another name."""
NOT_BACK = "RE-APPLY DID NOT PUT EVERYTHING BACK"


def numbered(run: Run, step: str) -> str:
    """`3 back up`, in columns."""
    return f"{STEPS[run.kind].index(step) + 1} {NAMES.get(step, step):<14}"


def step_line(run: Run, step: str, word: str, tone: str, text: str = "") -> Line:
    """A step and how it is with it."""
    return line(f"  {numbered(run, step)} ", (word, tone), f"{'':<{10 - len(word)}}{text}" if text else "")


def step_lines(event: Event, run: Run, target: Target) -> list[str]:
    """What one event adds to the transcript in the shell."""
    data, at = event.data, f"{event.at:%H:%M} UTC"
    who = plain(event.actor.name) if event.actor else ""
    match event.kind:
        case "step_done":
            return done(data["step"], data["evidence"], run)
        case "step_started" if data["step"] != "execute":
            return [step_line(run, data["step"], "running", RUNNING)]
        case "step_failed":
            return [step_line(run, data["step"], "failed", FAILED, plain(data["message"]))]
        case "opened" if run.needed:
            where = target.channel or "Slack"
            until = data["expires_at"][11:16]
            return [
                *head(run),
                line(
                    "  ",
                    ("waiting", RUNNING),
                    f" for {many(run.needed, 'approval')} in {where}, until {until} UTC      (Ctrl-C stops watching, not the run)",
                ),
            ]
        case "approved" | "denied" | "withdrawn":
            why = data.get("note") or data.get("reason") or ""
            tone = OK if event.kind == "approved" else WARNING
            return [
                line(
                    "    ",
                    (event.kind, tone),
                    f"{'':<{14 - len(event.kind)}} {who}   {at}{f'   {plain(why)}' if why else ''}",
                )
            ]
        case "glass_broken":
            return [
                line(
                    "    ",
                    ("BREAK-GLASS", WARNING),
                    f" by {who}: starts without a second person in {seconds(data['countdown'])}, anyone can stop it",
                ),
                f"                   {plain(data['reason'])}",
            ]
        case "countdown_over":
            return [f"    nobody stopped the break-glass of {who}   {at}"]
        case "unapproved":
            return [
                f"    {'break-glass' if 'broken' in data else 'approval'} of {who} no longer counts: {plain(data.get('why') or 'taken back')}"
            ]
        case "plan_changed":
            return [line("    ", ("the plan changed", WARNING), f": {plain('; '.join(data['what']))}")]
        case "executing":
            parts = len(run.evidence.get("rehearse", {}).get("parts", ()))
            whole = "services stop" if run.kind == "restore" else "one transaction, all or nothing"
            return [
                line(f"  {numbered(run, 'execute')} ", ("starts", RUNNING), f": {f'{parts} parts' if parts else whole}")
            ]
        case "part_done":
            return [
                f"    part {data['part']} of {data['of']} done in {seconds(data['seconds'])}: {plain(data['about'])}"
            ]
        case "continued":
            return [f"    {who} lets the rest follow"]
        case "held_up" if data["by"]:
            return [f"    waits for a lock, held by {holders(data['by'])}"]
        case "released":
            return [f"    {who} released the hold"]
        case "found_committed":
            return ["    interrupted; the database says: committed. Nothing runs twice."]
        case _:
            return ending(event, run)


def last_line(run: Run, spent: float, left: float, far: str = "") -> Line | None:
    """What happens now, as the last line of a terminal: the step and how long it has run, or whom it waits for.

    `spent`: seconds since the step began, or since it was asked for; `left`: seconds until the next deadline of people;
    `far`: how far the step is, in words.
    """
    if run.running:
        more = [
            *([far] if far else []),
            *([f"part {run.part['part']} of {run.part['of']}: {plain(run.part['about'])}"] if run.part else []),
            *([f"waits for a lock, held by {holders(run.held_up)}"] if run.held_up else []),
        ]
        return step_line(run, run.running, "running", RUNNING, ", ".join([lasting(spent), *more]))
    if run.state is State.WAITING and run.broken:
        return line("  ", ("BREAK-GLASS", WARNING), f" starts in {lasting(left)}, anyone can stop it")
    if run.state is State.WAITING:
        given = f"{len(run.approvals)} of {many(run.needed, 'approval')}" if run.needed > 1 else "1 approval"
        return line("  ", ("waiting", RUNNING), f" for {given}, {lasting(left)} left      (Ctrl-C stops watching)")
    if run.state is State.PLANNING and run.needed and not run.evidence:
        return line("  ", ("waiting", RUNNING), f" for the bot, {lasting(spent)}")
    return None


def how_far(far: HowFar | None, estimate: float | None, spent: float) -> str:
    """`254 MB of about 412 MB read, 61 %, about 24 s left`; empty where nothing of it is known, or the step has only begun."""
    if spent < QUIET:
        return ""
    ahead = time_left(far, estimate, spent)
    told = [counted(far) if far else "", f"about {rough(ahead, up=True)} left" if ahead is not None else ""]
    return ", ".join(filter(None, told))


def lasting(value: float) -> str:
    """Seconds that are counted while one looks: `8 s`, `1 min 5 s`."""
    minutes, rest = divmod(max(int(value), 0), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def holders(by: Iterable[Json]) -> str:
    """Who holds a lock."""
    return ", ".join(
        f"{plain(one['who'])} ({plain(one['state'])} for {seconds(one['seconds'])})" for one in list(by)[:3]
    )


def done(step: str, evidence: Json, run: Run) -> list[str]:
    """One finished step."""
    how, text = outcome(step, evidence, run)
    told, _, more = text.partition(NOT_BACK)
    bad = text[len(told) :].removesuffix(more)
    lines: list[str] = [line(step_line(run, step, how, OK, told), (bad, WARNING), more)]
    return lines + (head(run) if step == "rehearse" and not run.needed and "rehearse" in run.evidence else [])


def outcome(step: str, evidence: Json, run: Run) -> Row:
    """How a step ended, and what it found."""
    took = seconds(evidence["seconds"])
    match step:
        case "identify" if run.kind == "restore":
            return "done", f"the backup is unharmed, {size(evidence['backup']['bytes'])}"
        case "identify" if run.kind == "reapply":
            return "done", f"{saved(evidence['saved'])} saved, unharmed"
        case "identify":
            count = len(evidence["undo"])
            each = "it has a rollback script" if count == 1 else "each has a rollback script"
            return "done", f"{many(count, 'migration')}, {each}"
        case "rehearse" if run.kind == "restore":
            return "done", f"{took}, counted what was written since the backup"
        case "rehearse" if run.kind == "reapply":
            aside = sum(one["rows"] for one in evidence["back"].get("aside", ()))
            ran = many(evidence["statements"], "statement")
            return "done", f"{took}, {ran} on a copy, {many(aside, 'row')} no longer fit"
        case "rehearse":
            return "done", f"{took}, {many(evidence['statements'], 'statement')} on an empty copy"
        case "prepare":
            return "done", f"{took}, {evidence['equal']} of {evidence['tables']} tables equal"
        case "backup":
            return "done", f"{took}, {size(evidence['bytes'])}, sha256 {evidence['sha256'][:12]}"
        case "test restore":
            equal = f"{evidence['equal']} of {evidence['tables']} tables equal"
            text = f"{took}, {equal}, trial run {seconds(evidence['trial_seconds'])}"
            back = evidence.get("way_back", {})
            if back.get("works") is not None:
                text += ", re-apply put everything back" if back["works"] else f", {NOT_BACK}"
            return "done", text
        case "execute" if run.kind == "restore":
            return "swapped", f"{took}, the database of before is {plain(evidence['kept'])}"
        case "execute" if run.kind == "reapply":
            return "committed", f"{took}, {saved(evidence['back'])} put back"
        case "execute":
            return "committed", f"{took}, {saved(evidence.get('saved', {}))} saved first"
        case _:
            health = evidence["health"]
            asked = f", health {health['ok']} of {health['tries']}" if health else ""
            return "done", f"{took}, schema {evidence['schema']}{asked}"


def ending(event: Event, run: Run) -> list[str]:
    """The last line of a run, and what to do next."""
    data = event.data
    match event.kind:
        case "done":
            took = seconds((event.at - run.created_at).total_seconds())
            lines: list[str] = [line(f"{run.id} ", ("done", OK), f" in {took}.  Audit #{event.id} {event.digest[:16]}")]
            if run.kind == "rollback":
                whole = run.evidence.get("backup", {}).get("restores", True)
                also = f" | rollback restore {run.id}" if whole else ""
                lines.append(f"Ways back: rollback reapply {run.id}{also}")
            return lines
        case "stopped":
            why = f"{plain(here(data['message']))} {plain(here(data.get('hint', '')))} ({data['code']})"
            return [line(f"{run.id} ", ("stopped", FAILED), f", nothing was changed: {why}")]
        case "refused":
            why = plain(here(f"{data['message']} {data.get('hint', '')}"))
            options = [f"  {plain(here(option))}" for option in data.get("options", ())]
            return [line(f"{why} (", (data["code"], WARNING), ")"), *options]
        case "expired":
            return [line(f"{run.id} ", ("expired", WARNING), ": nobody decided. Nothing was changed. Ask again.")]
        case "differs":
            return [
                line(f"{run.id} is committed, but ", ("not verified", WARNING), ":"),
                *[f"  {plain(d)}" for d in data["differences"]],
                "Decide on the card.",
            ]
        case "unknown":
            why = f": {plain(data['message'])} {plain(data['hint'])} ({data['code']})"
            parts = [f"  {what}  {plain(one)}" for what in ("done", "left") for one in data.get(what, ())]
            go_on = [f"  rollback resume {run.id}"] if data["code"] == "E-PARTLY" else []
            return [line((run.id, FAILED), why), *parts, *go_on]
        case "interrupted":
            return [
                line(
                    f"{run.id} was ",
                    ("interrupted", WARNING),
                    "; the database says: not committed. Decide on the card: execute again, or stop.",
                )
            ]
        case "kept":
            return [f"{run.id} is kept as it is."]
        case _:
            return []
