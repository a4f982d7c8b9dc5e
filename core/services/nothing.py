"""Kind `none`: nothing is stopped."""

from __future__ import annotations

from collections.abc import Mapping


class Nothing:
    """A target whose application need not be stopped, or is stopped by people."""

    names: tuple[str, ...] = ()

    def look(self) -> dict[str, int]:
        return {}

    def stop(self, before: Mapping[str, int]) -> None:
        """Nothing to do."""

    def start(self, before: Mapping[str, int]) -> None:
        """Nothing to do."""
