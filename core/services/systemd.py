"""Kind `systemd`: units of the system, or of the bot's own account."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from core.errors import StepFailed
from core.services.runner import Runner, both, failed, listed, unknown, until
from core.settings import Services

SUFFIXES = (".service", ".socket", ".timer", ".path", ".target", ".mount", ".slice", ".scope")
OVER = ("inactive", "failed")
RUNS = ("active", "reloading", "refreshing")
BEGINS = "activating"
"""Also the pause of a service that is restarted again and again. The one state that is left, `deactivating`, is neither
running nor over. Source: systemd, src/basic/unit-def.c."""


class Systemd:
    """Units of one manager."""

    def __init__(self, settings: Services, runner: Runner) -> None:
        self.names, self.run = settings.names, runner
        self.manager = f"--{settings.manager}"

    def look(self) -> dict[str, int]:
        found = self._show(self.names, "LoadState", "ActiveState", "TriggeredBy")
        lacking = [n for n, unit in found.items() if unit["LoadState"] == "not-found" and unit["ActiveState"] in OVER]
        if lacking:
            raise unknown("unit", lacking, self._known())
        self._started_by_others(found)
        return {name: int(unit["ActiveState"] in (*RUNS, BEGINS)) for name, unit in found.items()}

    def stop(self, before: Mapping[str, int]) -> None:
        names, deadline = both(self.names, before), self.run.deadline()

        def left() -> list[str]:
            return [name for name, unit in self._show(names).items() if unit["ActiveState"] not in OVER]

        reason = self._order("stop", left(), deadline)
        if still := until(left, 0 if reason else deadline):
            message = f"{listed(still)} did not stop: {reason or 'it is still active'}."
            raise failed(message, f"`systemctl status {still[0]}` shows what it waits for.")

    def start(self, before: Mapping[str, int]) -> None:
        wanted, deadline = [name for name in both(self.names, before) if before.get(name)], self.run.deadline()

        def now(*states: str) -> list[str]:
            return [name for name, unit in self._show(wanted).items() if unit["ActiveState"] in states]

        reason = self._order("start", now(*OVER, "deactivating"), deadline)
        until(lambda: now(BEGINS, "deactivating"), 0 if reason else deadline)
        up = now(*RUNS)
        if left := [name for name in wanted if name not in up]:
            message = f"{listed(left)} did not start: {reason or 'it is not active'}."
            raise failed(message, f"`journalctl --unit={left[0]}` shows why.")

    def _order(self, verb: str, names: Sequence[str], deadline: float) -> str:
        words = ["systemctl", verb, self.manager, "--no-ask-password", "--", *map(unit_of, names)]
        return self.run.order(words, deadline) if names else ""

    def _show(self, names: Collection[str], *properties: str) -> dict[str, dict[str, str]]:
        """Properties by name. `systemctl show` ends well for units that do not exist; it keeps the order of its words."""
        if not names:
            return {}
        asked = ",".join(properties or ["ActiveState"])
        words = ["systemctl", "show", self.manager, f"--property={asked}", "--", *map(unit_of, names)]
        blocks = self.run.ask(words).out.strip().split("\n\n")
        if len(blocks) != len(names):
            raise failed("`systemctl show` did not answer for every unit.", "Name each unit once, without patterns.")
        read = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]
        return dict(zip(names, read, strict=True))

    def _started_by_others(self, found: Mapping[str, Mapping[str, str]]) -> None:
        """Raises StepFailed(E-SERVICES) where a socket, timer or path would start a stopped unit again."""
        own = {unit_of(name) for name in found}
        others = {
            other: name for name, unit in found.items() for other in unit["TriggeredBy"].split() if other not in own
        }
        active = [other for other, unit in self._show(others).items() if unit["ActiveState"] in RUNS]
        if active:
            message = f"`{active[0]}` is active and would start `{others[active[0]]}` again while it must be stopped."
            raise failed(message, f"Add {listed(active)} to `services.names`.")

    def _known(self) -> list[str]:
        """Names of units, as people write them; nothing where they cannot be had: they only help with a slip."""
        words = ["systemctl", "list-unit-files", self.manager, "--no-legend", "--no-pager", "--plain"]
        try:
            lines = self.run.ask(words).out.splitlines()
        except StepFailed:
            return []
        return [line.split()[0].removesuffix(".service") for line in lines if line.strip()]


def unit_of(name: str) -> str:
    """The whole name. A number alone would be taken for a job, so the suffix is never left to systemctl."""
    return name if name.endswith(SUFFIXES) else f"{name}.service"
