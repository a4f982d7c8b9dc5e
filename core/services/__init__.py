"""How the application is stopped and started while a backup is put back: the port that each adapter fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from core.settings import Target


class Services(Protocol):
    """What every adapter offers. A record is what `look` said before the stop: plain JSON, kept in the audit trail.

    Any process may repeat `stop` or `start` with the same record, after a crash at whatever point. A stop that was cut
    short is repeated before anything is started: what it had begun may still be going on.
    """

    names: tuple[str, ...]

    def look(self) -> dict[str, int]:
        """How many of each run now (0: it is stopped). Raises StepFailed(E-SERVICES): a name is unknown, no answer."""

    def stop(self, before: Mapping[str, int]) -> None:
        """Stop all that the settings or the record name; returns when they have really stopped. Harmless when repeated.

        Raises StepFailed(E-SERVICES), which names what did not stop.
        """

    def start(self, before: Mapping[str, int]) -> None:
        """Start what ran, as many as ran, and nothing else; returns when they run. Harmless when repeated.

        What runs already, in that number or a higher one, is left alone. Raises StepFailed(E-SERVICES), which names
        what did not start.
        """


def services_for(target: Target) -> Services:
    """The adapter for a target's settings."""
    from core.services.command import Command
    from core.services.compose import Compose
    from core.services.kubernetes import Kubernetes
    from core.services.nothing import Nothing
    from core.services.runner import Runner
    from core.services.systemd import Systemd

    runner = Runner.of(target)
    match target.services.kind:
        case "compose":
            return Compose(target.services, runner)
        case "systemd":
            return Systemd(target.services, runner)
        case "kubernetes":
            return Kubernetes(target.services, runner)
        case "command":
            return Command(target.services, runner)
        case "none":
            return Nothing()
