"""Asks the bot's own program what it has posted: core knows no Slack, and reads no export of it.

`python -m bot --witness [FILE]` prints one object: what was posted, or the refusal.
"""

from __future__ import annotations

import json

from core import ask_bot
from core.errors import EXIT, Refused
from core.witness import Posted, Witness


def ask(file: str) -> Posted:
    """What was posted, read live from Slack, or from a file. Raises Refused as the other program does."""
    done = ask_bot.ask("--witness", *([file] if file else []))
    try:
        told = json.loads(done.stdout)
    except ValueError:
        why = f"The bot's program ended with {done.returncode} and did not say what it had posted."
        raise Refused("E-BUG", why, "Its own words stand above.") from None
    if refused := told.get("refused"):
        code = refused["code"] if refused["code"] in EXIT else "E-BUG"
        raise Refused(code, refused["message"], refused["hint"])
    return read(told)


def told(said: Posted) -> str:
    """The same as text."""
    witnesses = [[w.number, w.digest, w.where, w.channel, w.ts, w.run] for w in said.witnesses]
    return json.dumps({**vars(said), "witnesses": witnesses, "own": sorted(said.own), "oldest": dict(said.oldest)})


def read(data: dict[str, object]) -> Posted:
    """The same back."""
    given: dict[str, object] = {**data}
    given["witnesses"] = tuple(Witness(*one) for one in data["witnesses"])  # type: ignore[attr-defined]
    given["own"] = frozenset((channel, ts) for channel, ts in data["own"])  # type: ignore[attr-defined]
    given["places"], given["unread"] = tuple(data["places"]), tuple(data["unread"])  # type: ignore[arg-type]
    return Posted(**given)  # type: ignore[arg-type]
