"""pg_dump and pg_restore at the end of a pipe: nothing waits for ever, and what they say is heard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from core.pgtools import Cancelled, ToolFailed, Tools, service_file
from demo.postgres import Server


def tools(folder: Path, program: str, body: str) -> Tools:
    """Programs of our own under these names."""
    file = folder / program
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return Tools(folder, 18)


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(1 << 20)


def test_what_it_writes_is_handed_over_whole(server: Server, tmp_path: Path) -> None:
    found: list[bytes] = []
    tools(tmp_path, "pg_dump", "head -c 3000000 /dev/zero; printf end").pour("pg_dump", [], server.url(), found.append)
    assert b"".join(found) == bytes(3_000_000) + b"end"


def test_a_failure_after_the_last_byte_is_a_failure(server: Server, tmp_path: Path) -> None:
    one = tools(tmp_path, "pg_dump", "echo rows; echo 'pg_dump: error: connection lost' >&2; exit 1")
    with pytest.raises(ToolFailed, match="connection lost"):
        one.pour("pg_dump", [], server.url(), lambda block: None)


def test_an_error_while_its_output_is_taken_ends_it(server: Server, tmp_path: Path) -> None:
    def full(block: bytes) -> None:
        raise OSError(28, "No space left on device")

    started = time.monotonic()
    with pytest.raises(OSError, match="No space"):
        tools(tmp_path, "pg_dump", "echo rows; sleep 60").pour("pg_dump", [], server.url(), full)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("body", ["sleep 60", "exec >&-; sleep 60"])
def test_one_that_says_nothing_more_can_be_cancelled(server: Server, tmp_path: Path, body: str) -> None:
    with pytest.raises(Cancelled):
        tools(tmp_path, "pg_dump", body).pour("pg_dump", [], server.url(), lambda block: None, lambda: True)


def test_one_that_reads_nothing_more_can_be_cancelled(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        tools(tmp_path, "pg_restore", "sleep 60").feed("pg_restore", [], None, endless(), lambda: True)


def test_one_that_ends_before_it_has_read_everything_is_believed_by_its_exit_code(tmp_path: Path) -> None:
    tools(tmp_path, "pg_restore", "head -c 10 >/dev/null").feed("pg_restore", [], None, endless())
    with pytest.raises(ToolFailed, match="not an archive"):
        one = tools(tmp_path, "pg_restore", "echo 'pg_restore: error: not an archive' >&2; exit 1")
        one.feed("pg_restore", [], None, endless())


def test_a_long_table_of_contents_does_not_wait_for_one_that_is_still_giving(tmp_path: Path) -> None:
    one = tools(tmp_path, "pg_restore", "head -c 3000000 /dev/zero; cat >/dev/null")
    assert len(one.listing(iter([bytes(1 << 20)] * 5))) == 3_000_000


def test_a_plain_address_is_written_in_words_that_clients_of_every_major_know(app: str) -> None:
    known = {"host", "port", "dbname", "user", "connect_timeout", "sslmode", "sslcompression"}
    keys = {line.partition("=")[0] for line in service_file(app).splitlines()[1:]}
    assert {"host", "dbname", "user"} <= keys <= known


def test_a_password_reaches_the_program_and_no_file_has_it_that_could_outlive_us(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    one = tools(tmp_path, "pg_dump", f'ls {tmp_path}/tmp; for n in 1 2; do grep password "$PGSERVICEFILE"; done')
    told: list[bytes] = []
    one.pour("pg_dump", [], make_conninfo(server.url(), password="Kept-9-Secret"), told.append)
    assert b"".join(told).splitlines() == [b"password=Kept-9-Secret"] * 2
