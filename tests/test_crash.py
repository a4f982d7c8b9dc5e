"""A short form of `make crash`: bots die at boundaries, and everything holds that must hold."""

from __future__ import annotations

from tests.crash.campaign import LATE
from tests.crash.stretch import stretch

WANT = {"kill": 40, "backend": 4, "server": 2, "freeze": 1, "disk": 2}


def test_whatever_dies_and_wherever_a_rollback_is_whole_or_nothing_and_everything_is_told() -> None:
    told = stretch(7, WANT)
    assert not told["broken"], told["broken"]
    assert all(told["found"][act] >= number for act, number in WANT.items()), told["found"]
    assert told["found"]["runs"] >= 2 and len(told["ended"]) >= 30
    assert any(place.startswith(LATE) for place in told["ended"]), told["ended"]
