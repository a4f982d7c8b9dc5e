"""The two ways back from a rollback, with their price: re-apply keeps every write, restore loses those made since."""

from __future__ import annotations

from bot.messages import evidence
from bot.messages.blocks import IN_PLAN, at_most
from bot.messages.facts import back_words, gone, in_shell, names, saved_words
from bot.messages.text import clock_secs, code, data, duration, listed, plural, several
from core.model import Run


def price(run: Run) -> str:
    """What a way back costs, as a sentence without markup."""
    if run.kind == "reapply":
        aside = sum(int(one["rows"]) for one in run.evidence.get("rehearse", {}).get("back", {}).get("aside", ()))
        return "Keeps every write made since." + (f" {plural(aside, 'saved row')} no longer fit." if aside else "")
    if "rehearse" not in run.evidence:
        return ""
    return f"Loses {lost(run, rich=False)} written since. {stops(run, rich=False)}"


def lost(run: Run, *, rich: bool = True) -> str:
    """about 214 rows in 6 tables"""
    losses = run.evidence["rehearse"]["losses"]
    about = "about " if any(one.get("about") or (one["new"] and one["gone"]) for one in losses) else ""
    words = f"{about}{plural(evidence.lost_rows(run), 'row')} in {plural(len(losses), 'table')}"
    return f"*{words}*" if rich else words


def stops(run: Run, *, rich: bool = True) -> str:
    """Stops `api` and `orchestrator` for the swap."""
    names = [code(one) if rich else data(one, 40) for one in run.evidence["identify"]["services"]["names"]]
    return f"Stops {several(names, 6, 400)} for the swap." if names else "Stops no service; sessions are cut."


def price_section(run: Run) -> str:
    """The same on the card."""
    if run.kind == "reapply":
        return _reapply_section(run)
    found, names = run.evidence["rehearse"], run.evidence["identify"]
    since = clock_secs(names["backup"]["taken_at"])
    lines = [f"• {line}" for line in evidence.lost_lines(run)]
    what = [f"*Will be lost* :warning: {lost(run)} written since {since}", *at_most(lines, 8, in_shell(run), 1400)]
    if not lines:
        what = [f"*Nothing was written* since the backup of {since}, as far as the rows tell."]
    took = found.get("restore_seconds")
    about = f", about {duration(float(took))} as in the test restore" if took else ""
    kept = f"The database of now is kept as {code(names['kept'])}, with these rows."
    return "\n".join([*what, f"The application runs on while the backup is put in{about}. {stops(run)} {kept}"])


def _reapply_section(run: Run) -> str:
    found, saved = run.evidence["rehearse"], run.evidence["identify"]["saved"]
    lines = [f"• runs {gone(run)} forward again"]
    held = saved_words(saved)
    lines.append(f"• puts back {held} that were saved when they went" if held else "• no rows had to be saved")
    lines.append("• *keeps every write made since*; loses nothing")
    aside = [f"• kept aside, as a file: {line}" for line in evidence.aside_lines(found.get("back", {}))]
    aside = at_most(aside, 8, IN_PLAN, 1800)
    words = evidence.fits(run)
    return "\n".join(["*What it does*", *lines, *aside, f"{words[:1].upper()}{words[1:]}."])


def came_back(run: Run) -> str:
    """57,333 rows and 1,204 values are back, no write was lost."""
    back = run.evidence.get("execute", {}).get("back", {})
    aside = sum(int(one["rows"]) for one in back.get("aside", ()))
    left = f"; {plural(aside, 'saved row')} did not fit and {'is' if aside == 1 else 'are'} kept aside" if aside else ""
    return f"{back_words(back)} are back{left}; no write was lost"


def forward_again(run: Run) -> str:
    """The migrations that a rollback undid, in the order in which they would be applied again."""
    found = names(run)[::-1]
    return listed([code(one) for one in found]) if len(found) <= 3 else plural(len(found), "migration")


def two_ways(run: Run) -> str:
    """Both ways back of a rollback with their price, before anybody asks for one."""
    executed, tried = run.evidence.get("execute", {}), run.evidence.get("test restore", {}).get("way_back", {})
    about = f" About {duration(float(tried['seconds']))}." if tried.get("works") else ""
    warns = " On the copy it did *not* put everything back." if tried.get("works") is False else ""
    held = saved_words(executed.get("saved", {})) or "no rows"
    first = f"1. *Re-apply*: runs {forward_again(run)} forward and puts {held} back. *Keeps every write* made since.{about}{warns}"
    taken = run.evidence.get("backup", {}).get("taken_at")
    since = f" of {clock_secs(taken)}" if taken else ""
    second = f"2. *Restore full backup*: back to the backup{since}. *Loses what was written since*; its card says how much, by table."
    if not run.evidence.get("backup", {}).get("restores", True):
        second = "2. The full backup is elsewhere: I cannot put it back."
    return f"{first}\n{second}"
