"""A stand-in for systemctl with a small manager. Formats and messages are those of systemd 252.

Sources: systemd, src/systemctl/systemctl-show.c (one block for each unit in the order of the words, an empty line in
between, exit code 0 for units that do not exist), systemctl-start-unit.c and man systemctl for the rest.
"""

from __future__ import annotations

from stage import Failed, State, known, options, play

NO_MANAGER = (
    "System has not been booted with systemd as init system (PID 1). Can't operate.\n"
    "Failed to connect to bus: Host is down"
)
NOWHERE = {"LoadState": "not-found", "ActiveState": "inactive", "TriggeredBy": ""}


def verb_of(words: list[str]) -> str:
    return words[0]


def main(state: State, words: list[str]) -> str:
    given, units = options(words[1:])
    if not state["engine"]:
        raise Failed(NO_MANAGER)
    assert (state["manager"] in given) != ({"system": "user", "user": "system"}[state["manager"]] in given)
    if words[0] == "list-unit-files":
        known(given, "system", "user", "no-legend", "no-pager", "plain")
        return "".join(f"{name} enabled enabled\n" for name in state["units"])
    assert all("." in unit for unit in units), "a number alone would be a job"
    if words[0] == "show":
        known(given, "system", "user", "property")
        blocks = [show(state, unit, given["property"][0].split(",")) for unit in units]
        return "\n".join(blocks)
    known(given, "system", "user", "no-ask-password")
    return order(state, words[0], units)


def show(state: State, name: str, properties: list[str]) -> str:
    unit = state["units"].get(name, NOWHERE)
    text = "".join(f"{key}={unit[key]}\n" for key in ("LoadState", "ActiveState", "TriggeredBy") if key in properties)
    if unit.get("next"):  # what it is on the way to: seen a while, then reached
        unit["while"] -= 1
        if unit["while"] <= 0:
            unit["ActiveState"] = unit.pop("next")
    return text


def order(state: State, verb: str, units: list[str]) -> str:
    errors = []
    for name in units:
        unit: dict | None = state["units"].get(name)
        if unit is None:
            errors.append(f"Failed to {verb} {name}: Unit {name} not {'loaded' if verb == 'stop' else 'found'}.")
        elif name in state["broken"]:
            unit["ActiveState"] = "failed"
            errors.append(
                f"Job for {name} failed because the control process exited with error code.\n"
                f'See "systemctl status {name}" and "journalctl -xeu {name}" for details.'
            )
        elif (unit["ActiveState"] in ("active", "activating")) != (verb == "start"):
            between = "deactivating" if verb == "stop" else "activating"
            unit |= {"ActiveState": between, "next": state[f"after_{verb}"], "while": state["linger"]}
    if errors:
        raise Failed("\n".join(errors), 5 if "not found" in errors[0] or "not loaded" in errors[0] else 1)
    return ""


if __name__ == "__main__":
    play(main, verb_of)
