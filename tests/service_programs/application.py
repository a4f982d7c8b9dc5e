"""A team's own program: `application stop`, `start`, and `status`, whose exit code tells."""

from __future__ import annotations

from stage import Failed, State, play


def main(state: State, words: list[str]) -> str:
    if words[0] == "status":
        if state["while"] > 0:  # on the way to what was ordered
            state["while"] -= 1
            raise Failed("", 0 if state["next"] == 0 else 3)
        state["running"] = state["next"]
        if state["next"] == 0 and state["revived"]:  # something starts it again, once it was seen to be stopped
            state |= {"next": 1, "revived": False}
        raise Failed("", 0 if state["running"] else state["stopped_code"])
    state |= {"next": int(words[0] == "start") * (1 + state["running"]), "while": state["linger"]}
    return ""


if __name__ == "__main__":
    play(main, lambda words: words[0])
