"""Backups and saved rows at rest are encrypted, come back, and a key that does not fit is known before anything starts."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.backups import dump, encryption
from core.backups.encryption import Cipher, cipher_of, opened
from core.errors import Refused, StepFailed
from core.model import State
from core.save.archive import Damaged
from core.settings import Encrypt, Target
from demo.postgres import Server
from tests.backup_worlds import Keys, Trip, keys, program

HEADS = {"age": b"age-encryption.org/", "gpg": b"\x84"}
TEXT = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    with keys(tmp_path_factory.mktemp("keys")) as found:
        yield found


@pytest.fixture(autouse=True)
def path(ring: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{ring.bin}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(params=["age", "gpg"])
def cipher(request: pytest.FixtureRequest, ring: Keys) -> Cipher:
    return of(ring.encrypt(request.param))


def of(given: Encrypt) -> Cipher:
    found = cipher_of(Target("production", encrypt=given))
    assert found
    return found


# -- the port of a tool ------------------------------------------------------------------------------------


def sealed(cipher: Cipher, file: Path, text: bytes = TEXT) -> Path:
    with file.open("wb") as out, cipher.into(out) as into:
        for at in range(0, len(text), 100_000):
            into.write(text[at : at + 100_000])
        os.fsync(into.fileno())  # as who writes a save does
    return file


def test_what_goes_in_comes_out_and_lies_encrypted(cipher: Cipher, tmp_path: Path) -> None:
    file = sealed(cipher, tmp_path / "file")
    assert file.read_bytes()[:1000] not in TEXT and len(TEXT) < file.stat().st_size < len(TEXT) * 1.01
    with opened(file, cipher) as back:
        assert back.read() == TEXT
    cipher.check()


def test_a_reader_may_stop_early(cipher: Cipher, tmp_path: Path) -> None:
    with opened(sealed(cipher, tmp_path / "file"), cipher) as back:
        assert back.read(10) == TEXT[:10]


def test_a_damaged_or_cut_file_is_not_taken_for_whole(cipher: Cipher, tmp_path: Path) -> None:
    data = sealed(cipher, tmp_path / "file").read_bytes()
    middle = len(data) // 2
    for other in (data[:-50], data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]):
        (tmp_path / "other").write_bytes(other)
        with pytest.raises(Damaged, match="cannot decrypt it"), opened(tmp_path / "other", cipher) as back:
            back.read()


def test_a_file_in_plain_is_read_as_it_is_whatever_the_settings_say_today(cipher: Cipher, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"\x28\xb5\x2f\xfdrows")
    for one in (cipher, None):
        with opened(tmp_path / "plain", one) as back:
            assert back.read() == b"\x28\xb5\x2f\xfdrows"


def test_an_encrypted_file_without_its_key_in_the_settings_is_named(cipher: Cipher, tmp_path: Path) -> None:
    file = sealed(cipher, tmp_path / "file")
    other = Cipher("gpg" if cipher.tool == "age" else "age", "x", tmp_path)
    for one in (None, other):
        with pytest.raises(Damaged, match=f"encrypted by {cipher.tool}"):
            opened(file, one)


def test_a_key_that_is_missing_or_another_is_refused_with_a_remedy(cipher: Cipher, tmp_path: Path) -> None:
    with keys(tmp_path) as other:
        wrong = of(other.encrypt(cipher.tool))
        faulty = [
            replace(cipher, identity=tmp_path / "nothing"),
            replace(cipher, recipient="age1nobody" if cipher.tool == "age" else "nobody@example.org"),
        ]
        if cipher.tool == "age":  # in a home of gpg's both keys lie together
            faulty.append(replace(cipher, identity=wrong.identity))
        for one in faulty:
            with pytest.raises(Refused, match="Nothing was started") as caught:
                one.check()
            assert caught.value.code == "E-BACKUP" and "recipient" in caught.value.hint
            assert str(tmp_path) not in caught.value.text


def test_a_tool_that_is_not_installed_is_refused(cipher: Cipher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused, match="not installed") as caught:
        cipher.check()
    assert caught.value.code == "E-TOOLS" and "Install it" in caught.value.hint


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("sleep 60", "E-BACKUP", "takes and gives nothing|did not end"),
        ("head -c 1000 >&2; exit 3", "E-BACKUP", "failed"),
        (
            "exec >&-; cat >/dev/null; echo 'age: error: write: no space left on device' >&2; exit 1",
            "E-DISK",
            "space left",
        ),
        ("exit 0", "E-BACKUP", "failed|decrypts another"),
    ],
)
def test_a_tool_that_hangs_or_fails_ends_the_writing_in_words(
    body: str, code: str, told: str, ring: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "age", body)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(encryption, "PATIENCE", 0.3)
    started = time.monotonic()
    with pytest.raises((StepFailed, Refused), match=told) as caught:
        sealed(of(ring.encrypt("age")), tmp_path / "file")
        of(ring.encrypt("age")).check()
    assert caught.value.code == code and time.monotonic() - started < 5


# -- a rollback with all of it -----------------------------------------------------------------------------


@pytest.fixture
def trip(server: Server, app: str, tmp_path: Path, ring: Keys, request: pytest.FixtureRequest) -> Iterator[Trip]:
    found = Trip(server, app, tmp_path, encrypt=ring.encrypt(request.param))
    yield found
    found.ledger.close()


@pytest.mark.parametrize("trip", ["age", "gpg"], indirect=True)
def test_saved_rows_are_encrypted_and_put_back(trip: Trip, tmp_path: Path) -> None:
    before = trip.rows()
    run = trip.roll_back()
    assert run.state is State.DONE, run.failed
    archive = dump.Archive(trip.settings.backup_dir, run.id)
    saved = run.evidence["execute"]["saved"]
    tool = run.evidence["backup"]["encrypted"]
    for file, told in ((archive.saved, saved), (archive.backup("custom"), run.evidence["backup"])):
        assert (told["bytes"], told["sha256"]) == (file.stat().st_size, dump.sha256(file))
        with io.FileIO(file) as disk:
            assert (disk.read(40) or b"").startswith(HEADS[tool])
    again = trip.back("reapply", run)
    assert again.state is State.DONE, again.failed
    assert trip.rows() == before and again.evidence["execute"]["back"]["rows"] == len(before) > 0


@pytest.mark.parametrize("trip", ["age"], indirect=True)
def test_an_encrypted_backup_is_put_back_whole(trip: Trip) -> None:
    before = trip.rows()
    run = trip.roll_back()
    restored = trip.back("restore", run)
    assert restored.state is State.DONE, restored.failed
    assert trip.rows() == before


@pytest.mark.parametrize("trip", ["age"], indirect=True)
def test_a_key_that_does_not_fit_stops_everything_before_anybody_is_asked(
    trip: Trip, tmp_path: Path, ring: Keys
) -> None:
    own, folder = ring.encrypt("age"), tmp_path / "other"
    folder.mkdir()
    with keys(folder) as other:
        trip.use(encrypt=replace(own, identity=other.encrypt("age").identity))
    run = trip.roll_back()
    assert run.state is State.REFUSED and run.ending and run.ending.data["code"] == "E-BACKUP"
    assert list(trip.settings.backup_dir.iterdir()) == []
    trip.use(encrypt=own)
    run = trip.roll_back()
    trip.use(encrypt=None)
    again = trip.back("reapply", run)
    assert again.state is State.STOPPED and again.ending and "encrypted by age" in again.ending.data["message"]
    refused = trip.back("restore", run)
    assert refused.state is State.REFUSED and refused.ending
    assert refused.ending.data["code"] == "E-NO-BACKUP" and "encrypted by age" in refused.ending.data["message"]
