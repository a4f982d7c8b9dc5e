"""A short form of `make load`: rollbacks and ways back while the application writes."""

from __future__ import annotations

from pathlib import Path

from demo.postgres import Server
from tests.load import campaign


def test_no_acknowledged_write_is_lost_under_a_writing_load(server: Server, app: str, tmp_path: Path) -> None:
    found = campaign(server, tmp_path, rounds=2, clients=4, seed=7, url=app, pause=0.5)
    assert found["rollbacks"] == 2 and found["reapply"] == found["restore"] == 1
    assert found["looked for"] > 100 and found["refused while rolled back"] > 5 and found["lost"] == 0
