"""The file of a save: it is whole or it is refused, it counts only when it is on disk, and people can use it by hand."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import psycopg
import pytest

from core.backups.dump import Archive, disk
from core.errors import StepFailed
from core.save import archive
from core.save.archive import Damaged, Writer, reading, zstd
from tests.save_bench import Bench, Case, parts

ROWS = [b"1\ta\n", b"2\t\\N\n", b"3\t" + b"long" * 100_000 + b"\n", b"4\t\\\\.\n"]


def written(rows: list[bytes] | None = None, count: int = 3) -> bytes:
    """A file with some parts of the same rows."""
    with TemporaryFile() as out:
        writer = Writer(out)
        for n in range(count):
            with writer.part(
                {"table": f"public.t{n}", "rows": 4, "empty": True}, f"COPY public.t{n} FROM stdin;"
            ) as write:
                for row in ROWS if rows is None else rows:
                    write(row)
        size, digest = writer.close({"run": "RB-7K3M"}, "SELECT 1;\n")
        out.seek(0)
        data = out.read()
    assert size == len(data) and digest == hashlib.sha256(data).hexdigest()
    return data


def read(folder: Path, data: bytes) -> list[bytes]:
    """All rows of every part. Raises Damaged."""
    file = folder / "saved"
    file.write_bytes(data)
    with reading(file) as saved:
        assert saved.manifest["run"] == "RB-7K3M"
        return [b"".join(saved.rows(part)) for part in saved.parts]


def test_what_is_written_is_read_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "saved"
    file.write_bytes(written())
    with reading(file) as saved:
        for part in reversed(saved.parts):
            assert b"".join(saved.rows(part)) == b"".join(ROWS)
    assert read(tmp_path, written([])) == [b""] * 3
    assert read(tmp_path, written(count=0)) == []


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = written()
    ends = [0, 1, 3, 4, *(len(data) - n for n in (1, 8, 15, 16, 17, 18))]
    for place in {*ends, *range(0, len(data), len(data) // 60)}:
        with pytest.raises(Damaged):
            read(tmp_path, data[:place])


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    data, missed = written([b"%d\tsome text %d\n" % (n, n) for n in range(40)], 2), []
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        try:
            rows = read(tmp_path, bytes(flipped))
        except (Damaged, AssertionError):
            continue
        missed.append((place, rows == read(tmp_path, data)))
    assert not [place for place, same in missed if not same], "other rows were read as if they were the saved ones"
    assert len(missed) <= 8, "only what zstd itself does not use: reserved and unused bits of its headers"


@pytest.mark.parametrize("more", [b"x", bytes(16), b"-- rollback-bot save 1 {}\n", bytes(range(256)) * 100])
def test_what_is_put_before_or_behind_it_is_refused(tmp_path: Path, more: bytes) -> None:
    for data in (written() + more, more + written(), written(count=2) + written()):
        with pytest.raises(Damaged):
            read(tmp_path, data)


def test_another_version_and_anything_else_are_refused(tmp_path: Path) -> None:
    for data in (
        b"",
        b"no save",
        written().replace(b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfe"),
        zstd.compress(b"-- rollback-bot save 2 {}\n"),
    ):
        with pytest.raises(Damaged):
            read(tmp_path, data)
    with TemporaryFile() as out, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "MARK", b"-- rollback-bot save 2 ")
        Writer(out).close({"run": "RB-7K3M"})
        patch.undo()
        out.seek(0)
        with pytest.raises(Damaged, match="no save of this version"):
            read(tmp_path, out.read())


def test_memory_is_bounded_by_a_block_whatever_is_read(tmp_path: Path) -> None:
    bomb = written([b"0" * 1_000_000 + b"\n"] * 50, 1)
    assert len(bomb) < 100_000
    file = tmp_path / "saved"
    file.write_bytes(bomb)
    with reading(file) as saved:
        assert max(len(block) for block in saved.rows(saved.parts[0])) <= archive.BLOCK + len(archive.END)


# -- on disk ----------------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    files = Archive(tmp_path, "RB-7K3M")

    class Full(io.FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with (
        pytest.raises(StepFailed, match="The backup folder refuses: no space left on device") as caught,
        disk(),
        files.writing(files.saved) as out,
    ):
        writer = Writer(Full(out.fileno(), "wb", closefd=False))
        with writer.part({"rows": 1}, "COPY t FROM stdin;") as write:
            write(os.urandom(archive.BLOCK * 2))
    assert caught.value.code == "E-DISK" and not list(tmp_path.iterdir())


def test_a_crash_before_the_rename_leaves_no_file_that_counts(tmp_path: Path) -> None:
    files = Archive(tmp_path, "RB-7K3M")
    with pytest.raises(KeyboardInterrupt), files.writing(files.saved) as out:
        writer = Writer(out)
        with writer.part({"rows": 1}, "COPY t FROM stdin;") as write:
            write(b"1\n")
        writer.close({})
        raise KeyboardInterrupt
    assert not files.saved.exists()


def test_the_file_is_synced_then_renamed_then_its_folder_is_synced(tmp_path: Path) -> None:
    """As the kernel saw it: strace is not everywhere, so the calls are counted by an audit hook of the interpreter."""
    code = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(Path.cwd())!r})
from core.backups.dump import Archive
from core.save.archive import Writer
seen, sync = [], os.fsync
def watching(fd):
    seen.append("fsync " + ("folder" if os.path.isdir(f"/proc/self/fd/{{fd}}") else "file"))
    return sync(fd)
os.fsync = watching
sys.addaudithook(lambda event, args: seen.append("rename") if event == "os.rename" else None)
files = Archive(Path({str(tmp_path)!r}), "RB-7K3M")
with files.writing(files.saved) as out:
    Writer(out).close({{}})
print(seen, oct(files.saved.stat().st_mode & 0o777))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['fsync file', 'rename', 'fsync folder'] 0o600", done.stderr


# -- by hand ----------------------------------------------------------------------------------------------------

SETUP = r"""
    CREATE TABLE users (id integer PRIMARY KEY, name text);
    CREATE TABLE "Odd; ""t\n%s" (id serial PRIMARY KEY, "new
line" text, who integer REFERENCES users, at timestamptz, spent interval, raw bytea, g text GENERATED ALWAYS AS ('x') STORED);
    INSERT INTO users VALUES (1, 'a'), (2, 'b');
    INSERT INTO "Odd; ""t\n%s" ("new
line", who, at, spent, raw) VALUES (E'tab\t back\\slash\nä \\.', 1, '2026-03-29 02:30+01', '-1 mon +2 days -03:00', '\x00ff'), ('\N', 2, 'infinity', NULL, NULL);
    CREATE TABLE zero (); INSERT INTO zero DEFAULT VALUES;"""


@pytest.fixture
def case(saves: Bench) -> Iterator[Case]:
    made = SETUP.split("INSERT")[0].split(";", 2)
    forward = SETUP[SETUP.index('CREATE TABLE "Odd') : SETUP.index("INSERT INTO users")] + "; CREATE TABLE zero ()"
    assert made
    yield saves.run(
        SETUP,
        r'DROP TABLE "Odd; ""t\n%s", zero; ALTER TABLE users DROP name',
        forward + "; ALTER TABLE users ADD name text",
    )


def test_what_stands_in_the_file_is_sql_that_brings_whole_tables_back(saves: Bench, case: Case) -> None:
    case.same()
    saves.sql(r'TRUNCATE "Odd; ""t\n%s", zero; ALTER SEQUENCE "Odd; ""t\n%s_id_seq" RESTART')
    sql = zstd.decompress(case.file.read_bytes())
    run(saves, sql)
    assert saves.rows() == case.before and saves.sequences() == case.sequences[0]


def test_the_usual_programs_read_it(saves: Bench, case: Case) -> None:
    program = shutil.which("zstdcat")
    if program is None:
        pytest.skip("zstdcat is not here")
    shown = subprocess.run([program, "-q"], input=case.file.read_bytes(), capture_output=True, check=True).stdout
    assert shown == zstd.decompress(case.file.read_bytes())
    assert subprocess.run([program, "-q", "-t"], input=case.file.read_bytes(), check=False).returncode == 0


def test_tables_stand_in_it_before_those_that_refer_to_them(saves: Bench) -> None:
    made = "CREATE TABLE z (id integer PRIMARY KEY); CREATE TABLE m (id integer PRIMARY KEY REFERENCES z); CREATE TABLE a (id integer REFERENCES m)"
    fill = "; INSERT INTO z VALUES (1); INSERT INTO m VALUES (1); INSERT INTO a VALUES (1)"
    case = saves.run(made + fill, "DROP TABLE a, m, z", made)
    case.same()
    saves.sql("TRUNCATE a, m, z")
    run(saves, zstd.decompress(case.file.read_bytes()))
    assert saves.rows() == case.before


def run(saves: Bench, script: bytes) -> None:
    """What psql does with a script of COPY statements and their rows."""
    with psycopg.connect(saves.server.url(saves.name), autocommit=True) as conn:
        lines = iter(script.split(b"\n"))
        for line in lines:
            before, _, copy = (
                line.rpartition(b"COPY ") if line.startswith((b"COPY ", b"CREATE TEMP")) else (line, b"", b"")
            )
            if before.strip() and not before.startswith(b"--"):
                conn.execute(before)
            if copy:
                with conn.cursor().copy(b"COPY " + copy) as stream:
                    while (row := next(lines)) != b"\\.":
                        stream.write(row + b"\n")


def test_the_parts_say_what_they_hold(case: Case) -> None:
    assert {key: len(rows) for key, rows in parts(case.file).items()} == {
        ('public."Odd; ""t\\n%s"', "rows"): 2, ("public.zero", "rows"): 1, ("public.users", "values"): 2,
    }  # fmt: skip
