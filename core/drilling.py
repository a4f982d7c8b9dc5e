"""`rollback drill`: followed where the bot walks it, walked here where none is running."""

from __future__ import annotations

from core import drill_leftovers as left
from core import driving
from core.drill import Walk
from core.drills import KINDS, Drills, Standing, standing, told_last
from core.errors import Refused
from core.grammar import Command
from core.ledger import stamp
from core.lines import FAILED, OK, RUNNING, WARNING, Line, line
from core.logs import set_up
from core.model import Event
from core.printing import plain
from core.quantities import duration
from core.schedule import parse
from core.screen import err
from core.settings import Target
from core.shell import Shell, put
from core.transcript import NAMES

FOLLOWED = (*KINDS, "drill_step", "drill_waits")
TICK = 0.5  # seconds between two looks at the ledger


def drill(shell: Shell, command: Command) -> int:
    """`status` unless something else is typed."""
    word = command.args[0] if command.args else "status"
    if word == "status":
        return status(shell, command)
    target = shell.settings.target(command.target)
    driving.agree(shell.desk, target.name)
    shell.mapped()
    desk = Drills(shell.ledger, shell.desk.same)
    if word == "start":
        return start(shell, target, desk)
    if word == "agree":
        raise Refused("E-SHELL-APPROVE", "A second person agrees to a drill in Slack.", "The button is in the channel.")
    if word == "stop":
        desk.stop(target.name, shell.person)
        return shell.show([f"The drill of {target.name} ends."], {"stopped": target.name})
    if word == "snooze":
        event = desk.snooze(target.name, shell.person, command.count or 1)
        return shell.show([f"Put off until {event.data['until'][:10]}."], {"until": event.data["until"]})
    desk.skip(target.name, shell.person, command.text)
    return shell.show(["Skipped. Everybody sees why."], {"skipped": target.name})


def start(shell: Shell, target: Target, desk: Drills) -> int:
    """To its end; 0 where it passed."""
    ledger = shell.ledger
    if ledger.held("bot"):
        begun = desk.start(target.name, shell.person)
        return follow(shell, begun)
    if target.drill and target.drill.second_person:
        raise Refused(
            "E-NO-BOT", "No bot is running, so no second person could agree to the drill.", "Start it, then ask again."
        )
    set_up(shell.settings)
    lock = ledger.hold(f"drill-{target.name}")
    if lock is None:
        raise Refused("E-BUSY", f"A drill of *{target.name}* is under way in another shell.", "Wait for its end.")
    with lock:
        dead = standing(ledger, target.name).running
        if dead:  # its process has died
            left.interrupted(ledger, dead)
            left.sweep(shell.settings, target, dead.id)
        begun = desk.start(target.name, shell.person)
        walk = Walk(ledger, shell.settings, target, begun.id, shell.person)
        walk.told = lambda event: err().tell(*lines(event))
        try:
            end = walk.walk()
        except KeyboardInterrupt:
            left.interrupted(ledger, begun)
            left.sweep(shell.settings, target, begun.id, walk.server)
            raise
    return ended(shell, end)


def follow(shell: Shell, begun: Event) -> int:
    """The bot walks it: print what it tells. Raises SystemExit(130) at Ctrl-C."""
    seen = begun.id
    try:
        while True:
            before = shell.ledger.head()[0]
            news = [one for one in shell.ledger.apart(FOLLOWED, begun.data["target"]) if one.id > seen]
            for event in reversed(news):
                seen = event.id
                if event.kind in ("drill_passed", "drill_failed"):
                    return ended(shell, event)
                err().tell(*lines(event))
            shell.ledger.wait(before, TICK)
    except KeyboardInterrupt:
        err().tell("Stopped watching. The drill goes on: `rollback drill status`.")
        raise SystemExit(130) from None


def ended(shell: Shell, end: Event) -> int:
    """The result, and its exit code."""
    code = 0 if end.kind == "drill_passed" else 1
    err().tell(*lines(end))
    if shell.command.json:
        put({"ok": code == 0, "drill": {"at": stamp(end.at), **end.data}, "exit": code})
    return code


def lines(event: Event) -> list[Line | str]:
    """What one event adds to what the shell prints."""
    told, who = event.data, plain(event.actor.name) if event.actor else ""
    match event.kind:
        case "drill_step":
            of = "" if told["kind"] == "rollback" else f"{told['kind']}: "
            took, words = duration(told["seconds"]), plain(told["told"])
            words = words if took in words else f"{took}{f', {words}' if words else ''}"
            return [
                line(f"  {of}{NAMES.get(told['step'], told['step']):<{22 - len(of)}} ", ("done", OK), f"      {words}")
            ]
        case "drill_waits":
            return [line("  ", ("waits", RUNNING), f": {told['for']} goes first")]
        case "drill_asks":
            return [line("  ", ("waiting", RUNNING), f" for a second person, until {told['until'][11:16]} UTC")]
        case "drill_agreed":
            return [line("  ", ("agreed", OK), f"  {who}   {event.at:%H:%M} UTC")]
        case "drill_passed":
            return [
                line("The drill ", ("passed", OK), f" in {duration(told['seconds'])}; {told['target']} was only read.")
            ]
        case "drill_failed":
            step = NAMES.get(told["step"], told["step"])
            where = step if told["kind"] == "rollback" else f"{told['kind']}: {step}"
            return [
                line("The drill ", ("failed", FAILED), f" at {where}: {plain(told['message'])}"),
                plain(told["hint"]),
            ]
        case _:
            return []


def status(shell: Shell, command: Command) -> int:
    """How it is with the drills of one target, or of all."""
    settings, ledger = shell.settings, shell.ledger
    targets = [settings.target(command.target)] if command.target else list(settings.targets.values())
    found = {one.name: standing(ledger, one.name) for one in targets}
    said = [row(one, found[one.name], shell) for one in targets]
    return shell.show(said, {"drills": {name: record(now) for name, now in found.items()}})


def row(target: Target, now: Standing, shell: Shell) -> Line | str:
    """One target."""
    at = shell.ledger.clock()
    when = parse(target.drill.schedule).describe() if target.drill else "no schedule"
    more = [f"last drill {told_last(now, at)}"]
    more += [f"{now.streak} in a row"] if now.streak > 1 else []
    if now.running:
        more.append(f"under way since {now.running.at:%H:%M} UTC")
    elif now.due:
        due = str(now.due.data["due"])[:10]
        late = ("OVERDUE", WARNING) if now.overdue(at) else ("due", RUNNING)
        until = f", put off until {now.snoozed:%Y-%m-%d}" if now.snoozed else ""
        return line(f"{target.name}, {when}: {'; '.join(more)}; ", late, f" since {due}{until}")
    elif now.told and now.told.data.get("next"):
        more.append(f"next {str(now.told.data['next'])[:10]}")
    return f"{target.name}, {when}: {'; '.join(more)}"


def record(now: Standing) -> dict[str, object]:
    """For machines."""

    def of(event: Event | None) -> dict[str, object] | None:
        return {"event": event.id, "at": stamp(event.at), "kind": event.kind, **event.data} if event else None

    return {
        "due": of(now.due),
        "snoozed": stamp(now.snoozed) if now.snoozed else None,
        "running": of(now.running),
        "last": of(now.last),
        "skipped": of(now.skipped),
        "streak": now.streak,
    }
