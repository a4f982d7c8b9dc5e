"""What a packet says of the proofs: each step's evidence, with whole hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from core.model import STEPS, Json, Run
from core.quantities import duration, number, plural, size
from core.report.case import Case
from core.report.happened import stamp, step_name
from core.report.model import Block, Facts, Items, Words, line, name, names, sentence

Row = tuple[str, str]


def proofs(case: Case) -> list[Block]:
    """Step by step, as far as it came."""
    run = case.run
    found: list[Block] = []
    for nth, step in enumerate(STEPS[run.kind], 1):
        if step in run.evidence:
            rows = _FACTS[run.kind if (run.kind, step) in _OWN else "rollback"][step](run, run.evidence[step])
            took = duration(run.evidence[step]["seconds"])
            found.append(Facts(tuple(rows), f"{nth} {step_name(run, step)}, {took}"))
            notes = [sentence(note) for note in run.evidence[step].get("notes", ())]
            found += [Items(tuple(notes))] if notes else []
    failed = run.failed
    if failed:
        found.append(
            Words(f"{step_name(run, failed['step'])} failed: {sentence(failed['message'])} ({line(failed['code'])})")
        )
    return found or [Words("No step came to its end.")]


def _identify(run: Run, found: Json) -> Iterator[Row]:
    yield "Found", f"{plural(len(run.going), 'migration')} with scripts"
    if found.get("saved"):
        yield "The save", _file(found["saved"])
    if found.get("backup"):
        yield "The backup", f"{_file(found['backup'])}, taken {stamp(found['backup']['taken_at'])} UTC"
    if found.get("slots"):
        yield "Replication slots that stay behind", names(found["slots"])


def _file(found: Json) -> str:
    return f"{name(found['file'])}, {size(int(found['bytes']))}, SHA-256 {name(found['sha256'])}"


def _rehearse(run: Run, found: Json) -> Iterator[Row]:
    yield "Ran", f"{plural(int(found['statements']), 'statement')} on a copy of the schema, without an error"
    yield (
        "Schema from before",
        {"exact": "comes back", "differs": "does *not* come back"}.get(found["restores"], "not compared"),
    )
    if found.get("differences"):
        yield "Differences", "; ".join(sentence(one["message"]) for one in found["differences"])
    if "reapplies" in found:
        words = {True: "yes", False: f"no: {sentence(found.get('why_not_reapplies', ''))}"}
        yield (
            "Applies again afterwards",
            words.get(found["reapplies"], f"not tried: {sentence(found.get('why_not_reapplies', ''))}"),
        )
    if found.get("back"):
        yield "Saved rows", _tried(found["back"])
    if found.get("scratch"):
        yield "Where", f"{line(found['scratch']['source'])}, PostgreSQL {line(found['scratch']['major'])}"


def _tried(back: Json) -> str:
    if back.get("works") is None:
        return f"not tried: {sentence(back.get('why', ''))}"
    aside = sum(int(one["rows"]) for one in back.get("aside", ()))
    return f"{plural(int(back.get('rows', 0)), 'row')} fit, {plural(aside, 'row')} kept aside"


def _counted(run: Run, found: Json) -> Iterator[Row]:
    yield "Counted", f"what was written since the backup in {plural(len(found['losses']), 'table')}"


def _backup(run: Run, found: Json) -> Iterator[Row]:
    kind = line(found["format"]) + (f", encrypted by {line(found['encrypted'])}" if found.get("encrypted") else "")
    where = f"{name(found['file'])}, " if found.get("file") else ""
    yield "Backup", f"{where}{size(int(found['bytes']))}, {kind}, {plural(int(found['tables']), 'table')}"
    yield "SHA-256", name(found["sha256"])
    yield "Taken, UTC", stamp(found["taken_at"])
    if found.get("restores") is False:
        yield "Holds", "only what this rollback destroys: a full backup is elsewhere"


def _trial(run: Run, found: Json) -> Iterator[Row]:
    yield "Restored", f"{number(int(found['equal']))} of {plural(int(found['tables']), 'table')} equal"
    deleted = plural(int(found.get("rows_deleted", 0)), "row")
    yield "Trial run on the copy", f"{duration(float(found['trial_seconds']))}, deleted {deleted}"
    back = found.get("way_back")
    if back:
        took = f" in {duration(float(back['seconds']))}" if "seconds" in back else ""
        words = {
            True: f"put everything back{took}",
            False: f"did *not* put everything back: {sentence(back.get('why', ''))}",
        }
        yield "Re-apply on the copy", words.get(back["works"], f"not tried: {sentence(back.get('why', ''))}")


def _prepare(run: Run, found: Json) -> Iterator[Row]:
    yield "Put in", f"{number(int(found['equal']))} of {plural(int(found['tables']), 'table')} equal"


def _execute(run: Run, found: Json) -> Iterator[Row]:
    if found.get("committed_at"):
        yield "Committed, UTC", stamp(found["committed_at"])
    together = f"in {found['parts']} parts" if "parts" in found else "in one transaction"
    yield "Ran", f"{plural(int(found['statements']), 'statement')}, {together}"
    verb = "again in" if run.kind == "reapply" else "taken out of"
    yield "History table", f"{names(found['versions'])} {verb} {name(found['history_table'])}"
    if found.get("lock_tries"):
        locked = f", tables locked for {duration(float(found['locked']))}" if "locked" in found else ""
        yield "Locks", f"had at try {found['lock_tries']}{locked}"
    if found.get("hold"):
        yield (
            "Hold",
            "the history table refuses them" if found["hold"] == "refuse" else "told of, where one is applied again",
        )


def _swap(run: Run, found: Json) -> Iterator[Row]:
    yield "Swapped", f"{name(run.evidence['identify']['database']['name'])} is the restored database"
    ran = [f"{count} of {name(service)}" for service, count in found["services"].items()]
    yield "Services", ", ".join(ran) if ran else "none is stopped for it"
    if "down" in found and ran:
        yield "They stood still for", duration(float(found["down"]))
    if found.get("services_trouble"):
        yield "Trouble", sentence(found["services_trouble"])


def _verify(run: Run, found: Json) -> Iterator[Row]:
    yield "Schema", line(found["schema"])
    yield "Newest migration", name(found["newest"]) if found.get("newest") else "none is applied"
    seen = found.get("health")
    answer = (
        f"{line(seen['status'] or 'no answer')}, {seen['ok']} of {seen['tries']}" if seen else "no health check is set"
    )
    yield "Health check", answer + (f", {number(int(seen['ms']))} ms" if seen and seen.get("ms") is not None else "")
    if found.get("differences"):
        yield "Differences", "; ".join(map(sentence, found["differences"]))


_FACTS: Mapping[str, Mapping[str, Callable[[Run, Json], Iterator[Row]]]] = {
    "rollback": {
        "identify": _identify,
        "rehearse": _rehearse,
        "backup": _backup,
        "test restore": _trial,
        "prepare": _prepare,
        "execute": _execute,
        "verify": _verify,
    },
    "restore": {"rehearse": _counted, "execute": _swap},
}
_OWN = frozenset((kind, step) for kind, steps in _FACTS.items() for step in steps)
"""Steps of a kind of run that tell something else than those of a rollback."""
