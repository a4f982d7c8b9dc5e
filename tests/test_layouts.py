"""The layouts of other tools: their files as they are found in projects, with the traps of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.check.walk import check
from core.errors import Refused
from core.layouts import Migration, detect, layout_for
from demo.postgres import Server

UP, DOWN = "CREATE TABLE {0} (id int)", "DROP TABLE {0}"


def put(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def two(folder: Path, up: str, down: str) -> Path:
    """Two migrations; `{n}` in the names stands for the version."""
    for n in ("1", "2"):
        put(folder, {up.format(n=n): UP.format(f"t{n}"), down.format(n=n): DOWN.format(f"t{n}")})
    return folder


def read(folder: Path, layout: str) -> list[Migration]:
    return layout_for(folder, layout).read()


def one(folder: Path, layout: str) -> Migration:
    found = read(folder, layout)
    assert len(found) == 1
    return found[0]


def names(folder: Path, layout: str) -> list[str]:
    return [pair.name for pair in read(folder, layout)]


def verdicts(server: Server, folder: Path, layout: str | None = None) -> dict[str, str]:
    return {one.id: one.verdict for one in check(folder, server.url(), layout=layout).migrations}


GOOSE = "-- +goose Up\n{up};\n\n-- +goose Down\n{down};\n"
DBMATE = "-- migrate:up\n{up};\n\n-- migrate:down\n{down};\n"


# -- each layout, whole


def test_a_paired_project_is_found_and_checked(server: Server, tmp_path: Path) -> None:
    two(tmp_path, "00{n}_x.sql", "rollback/00{n}_x.sql")
    assert detect(tmp_path) == "paired"
    assert verdicts(server, tmp_path) == {"001_x": "exact", "002_x": "exact"}


def test_a_golang_migrate_project_is_found_and_checked(server: Server, tmp_path: Path) -> None:
    two(tmp_path, "00{n}_x.up.sql", "00{n}_x.down.sql")
    put(tmp_path, {"go.mod": "module x", "README.md": "x"})
    assert detect(tmp_path) == "golang-migrate"
    assert verdicts(server, tmp_path) == {"001_x": "exact", "002_x": "exact"}


def test_a_diesel_project_is_found_and_checked(server: Server, tmp_path: Path) -> None:
    two(tmp_path, "2017-09-2{n}-182408_x/up.sql", "2017-09-2{n}-182408_x/down.sql")
    put(tmp_path, {".keep": "", "empty/nothing.txt": ""})
    assert detect(tmp_path) == "diesel"
    assert set(verdicts(server, tmp_path).values()) == {"exact"}
    assert [pair.version for pair in read(tmp_path, "diesel")] == ["20170921182408", "20170922182408"]


def test_a_goose_project_is_found_and_checked(server: Server, tmp_path: Path) -> None:
    for n in ("1", "2"):
        put(tmp_path, {f"0000{n}_x.sql": GOOSE.format(up=UP.format(f"t{n}"), down=DOWN.format(f"t{n}"))})
    assert detect(tmp_path) == "goose"
    assert verdicts(server, tmp_path) == {"00001_x": "exact", "00002_x": "exact"}


def test_a_dbmate_project_is_found_and_checked(server: Server, tmp_path: Path) -> None:
    for n in ("1", "2"):
        put(tmp_path, {f"2020010{n}_x.sql": DBMATE.format(up=UP.format(f"t{n}"), down=DOWN.format(f"t{n}"))})
    assert detect(tmp_path) == "dbmate"
    assert verdicts(server, tmp_path) == {"20200101_x": "exact", "20200102_x": "exact"}


def test_an_sqlx_project_is_found_and_checked(server: Server, tmp_path: Path) -> None:
    put(tmp_path, {"Cargo.toml": "[package]"})
    folder = two(tmp_path / "migrations", "2020010{n}_x.up.sql", "2020010{n}_x.down.sql")
    put(folder, {"20200103_plain.sql": "CREATE TABLE t3 (id int)"})
    assert detect(folder) == "sqlx"
    assert verdicts(server, folder) == {
        "20200101_x": "exact",
        "20200102_x": "exact",
        "20200103_plain": "irreversible",
    }


# -- which layout is it


def test_names_that_fit_two_tools_are_refused_without_a_manifest(tmp_path: Path) -> None:
    two(tmp_path, "00{n}_x.up.sql", "00{n}_x.down.sql")
    put(tmp_path, {"go.mod": "", "Cargo.toml": ""})
    with pytest.raises(Refused) as caught:
        detect(tmp_path)
    assert caught.value.message == "`golang-migrate` and `sqlx` fit the files of this folder."
    assert "--layout" in caught.value.hint


def test_a_folder_of_something_else_is_refused_with_what_was_found(tmp_path: Path) -> None:
    put(tmp_path, {"0001.name.sql": "SELECT 1", "notes.txt": "x"})
    with pytest.raises(Refused) as caught:
        detect(tmp_path)
    assert caught.value.message == "No layout fits this folder: it holds `0001.name.sql`, `notes.txt`."


def test_an_unknown_layout_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"I know no layout `flyway`.*`golang-migrate`"):
        read(tmp_path, "flyway")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"secret.sql": "SELECT 1"})
    folder = put(tmp_path / "m", {"1_a.up.sql": "SELECT 1"})
    (folder / "1_a.down.sql").symlink_to(tmp_path / "secret.sql")
    with pytest.raises(Refused, match="is a link to a file outside"):
        read(folder, "golang-migrate")


# -- traps of each


def test_golang_migrate_orders_by_number_and_pairs_by_version_alone(tmp_path: Path) -> None:
    for n in ("2", "010", "1"):
        put(tmp_path, {f"{n}_a.up.sql": "SELECT 1", f"{n}_b.down.sql": "SELECT 1"})
    found = read(tmp_path, "golang-migrate")
    assert [pair.version for pair in found] == ["1", "2", "10"]
    assert all(pair.forward and pair.rollback for pair in found)


def test_two_migrations_of_one_version_are_a_finding(server: Server, tmp_path: Path) -> None:
    two(tmp_path, "{n}_x.up.sql", "{n}_x.down.sql")
    put(tmp_path, {"002_y.up.sql": "SELECT 1", "002_y.down.sql": "SELECT 1"})
    report = check(tmp_path, server.url(), layout="golang-migrate")
    assert sorted(one.verdict for one in report.migrations) == ["exact", "exact", "fails"]
    assert any("have the same version `2`" in one.problem for one in report.migrations)


def test_golang_migrate_runs_a_single_statement_outside_a_transaction(server: Server, tmp_path: Path) -> None:
    put(tmp_path, {
        "1_t.up.sql": "CREATE TABLE t (a int)", "1_t.down.sql": "DROP TABLE t",
        "2_i.up.sql": "CREATE INDEX CONCURRENTLY i ON t (a);", "2_i.down.sql": "DROP INDEX CONCURRENTLY i;",
        "3_j.up.sql": "CREATE INDEX j ON t (a);", "3_j.down.sql": "SELECT 1; DROP INDEX CONCURRENTLY j;",
    })  # fmt: skip
    report = check(tmp_path, server.url(), layout="golang-migrate")
    assert [one.verdict for one in report.migrations] == ["exact", "exact", "fails"]
    assert "cannot run inside a transaction block" in report.migrations[2].problem


def test_diesel_orders_by_the_version_without_dashes(tmp_path: Path) -> None:
    for name in ("2018-01-01-000000_b", "20170101000000_a", "00000000000000_setup"):
        put(tmp_path, {f"{name}/up.sql": "SELECT 1", f"{name}/down.sql": "SELECT 1"})
    assert names(tmp_path, "diesel") == ["00000000000000_setup", "20170101000000_a", "2018-01-01-000000_b"]


@pytest.mark.parametrize(
    ("metadata", "transaction"),
    [(None, "always"), ("run_in_transaction = true", "always"), ("run_in_transaction = false", "never"), ("", "never")],
)
def test_diesel_reads_the_transaction_from_metadata_toml(tmp_path: Path, metadata: str, transaction: str) -> None:
    put(tmp_path, {"1_a/up.sql": "SELECT 1", "1_a/down.sql": "SELECT 1"})
    if metadata is not None:
        put(tmp_path, {"1_a/metadata.toml": metadata})
    pair = one(tmp_path, "diesel")
    assert pair.forward and pair.rollback
    assert (pair.forward.transaction, pair.rollback.transaction) == (transaction, transaction)


def test_diesel_without_a_down_file_is_declared_irreversible(server: Server, tmp_path: Path) -> None:
    put(tmp_path, {"1_a/up.sql": "CREATE TABLE a (id int)", "2_b/up.sql": "CREATE INDEX CONCURRENTLY i ON a (id)"})
    put(tmp_path, {"2_b/down.sql": "DROP INDEX CONCURRENTLY i", "3_c/up.sql": "SELECT 1", "3_c/metadata.toml": "= x"})
    assert verdicts(server, tmp_path) == {"1_a": "irreversible", "2_b": "fails", "3_c": "fails"}
    put(tmp_path, {"2_b/metadata.toml": "run_in_transaction = false"})
    assert verdicts(server, tmp_path)["2_b"] == "exact"


def test_goose_reads_all_its_markers(server: Server, tmp_path: Path) -> None:
    body = """-- about
-- +GOOSE up
-- +goose StatementBegin
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1;
  COMMIT;
END $$;
-- +goose StatementEnd

-- +goose down
DROP PROCEDURE q();
"""
    put(tmp_path, {"1_p.sql": body})
    report = check(tmp_path, server.url())
    assert report.migrations[0].verdict == "fails"
    assert report.migrations[0].problem.startswith("`1_p.sql`, line 12: 42883 ")


def test_goose_runs_outside_a_transaction_only_where_the_file_says_so(server: Server, tmp_path: Path) -> None:
    script = GOOSE.format(up="CREATE INDEX CONCURRENTLY i{n} ON t (a)", down="DROP INDEX CONCURRENTLY i{n}")
    put(tmp_path, {
        "1_t.sql": GOOSE.format(up="CREATE TABLE t (a int)", down="DROP TABLE t"),
        "2_i.sql": script.replace("{n}", "2"),
        "3_i.sql": "-- +goose NO TRANSACTION\n" + script.replace("{n}", "3"),
    })  # fmt: skip
    assert verdicts(server, tmp_path) == {"1_t": "exact", "2_i": "fails", "3_i": "exact"}


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("1_a.sql", "-- +goose ENVSUB ON\n" + GOOSE.format(up="SELECT 1", down="SELECT 1"), "has `ENVSUB ON`"),
        ("1_a.sql", "SELECT 1", "has no `-- +goose Up`"),
        ("1_a.sql", "-- +goose Down\nSELECT 1;\n-- +goose Up\nSELECT 1", "before `-- +goose Up`"),
        ("1_a.sql", GOOSE + "-- +goose Down\n", "has 2 `-- +goose Down`"),
        ("1_a.go", "package x", "is a program"),
    ],
)
def test_goose_files_that_cannot_be_tried_are_findings(tmp_path: Path, file: str, text: str, says: str) -> None:
    put(tmp_path, {file: text, "0_zero.sql": "SELECT 1", "1_a_test.go": "package x", "notes.sql": "x"})
    assert says in one(tmp_path, "goose").refused


def test_goose_without_a_down_section_has_no_rollback_script(server: Server, tmp_path: Path) -> None:
    put(tmp_path, {"1_a.sql": "-- +goose Up\nCREATE TABLE a (id int);\n", "2_b.sql": " -- +goose Up\nSELECT 1;"})
    assert verdicts(server, tmp_path) == {"1_a": "missing", "2_b": "fails"}


def test_dbmate_orders_by_file_name_as_text(tmp_path: Path) -> None:
    for name in ("10_b.sql", "9_a.sql", "1_c.sql"):
        put(tmp_path, {name: DBMATE.format(up="SELECT 1", down="SELECT 1")})
    assert names(tmp_path, "dbmate") == ["10_b", "1_c", "9_a"]


def test_dbmate_reads_the_transaction_from_each_marker(server: Server, tmp_path: Path) -> None:
    put(tmp_path, {
        "1_t.sql": DBMATE.format(up="CREATE TABLE t (a int)", down="DROP TABLE t"),
        "2_i.sql": "-- migrate:up transaction:false\r\nCREATE INDEX CONCURRENTLY i ON t (a);\r\n"
        "-- migrate:down\r\nDROP INDEX i;\r\n",
        "3_i.sql": "-- migrate:up\nCREATE INDEX CONCURRENTLY j ON t (a);\n-- migrate:down\nDROP INDEX j;\n",
    })  # fmt: skip
    assert verdicts(server, tmp_path) == {"1_t": "exact", "2_i": "exact", "3_i": "fails"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (DBMATE + DBMATE, "has 2 `-- migrate:up`"),
        ("SELECT 1", "has no `-- migrate:up`"),
        ("-- migrate:down\n-- migrate:up\n", "`-- migrate:down` before"),
    ],
)
def test_dbmate_files_that_cannot_be_tried_are_findings(tmp_path: Path, text: str, says: str) -> None:
    put(tmp_path, {"1_a.sql": text})
    assert says in one(tmp_path, "dbmate").refused


def test_dbmate_with_an_empty_down_section_is_empty(server: Server, tmp_path: Path) -> None:
    put(tmp_path, {"1_a.sql": "-- migrate:up\nCREATE TABLE a (id int);\n\n-- migrate:down\n"})
    assert verdicts(server, tmp_path) == {"1_a": "empty"}


def test_sqlx_leaves_the_transaction_only_for_its_first_bytes(tmp_path: Path) -> None:
    put(tmp_path, {
        "1_a.up.sql": "-- no-transaction\nSELECT 1", "1_a.down.sql": "\n-- no-transaction\nSELECT 1",
        "10_c.sql": "SELECT 1", "9_b.up.sql": "SELECT 1",
    })  # fmt: skip
    found = read(tmp_path, "sqlx")
    assert [pair.name for pair in found] == ["1_a", "9_b", "10_c"]
    first = found[0]
    assert first.forward and first.rollback
    assert (first.forward.transaction, first.rollback.transaction) == ("never", "always")
    assert (found[1].irreversible, bool(found[2].irreversible)) == ("", True)


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(server: Server, tmp_path: Path) -> None:
    text = GOOSE.format(up="CREATE TABLE a (id int)", down="DROP TABLE a").replace("\n", "\r\n")
    put(tmp_path, {"1_a.sql": b"\xef\xbb\xbf" + text.encode(), "2_b.sql": b"-- +goose Up\n\xff\n-- +goose Down\n"})
    report = check(tmp_path, server.url())
    assert [one.verdict for one in report.migrations] == ["exact", "fails"]
    assert report.migrations[1].problem == "does not apply: `2_b.sql`, line 2: this is not UTF-8."
