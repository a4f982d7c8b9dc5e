"""`rollback check`: hand-made broken rollback scripts, each with its verdict and its sentence, on a real PostgreSQL."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

import psycopg
import pytest

from core.check import Checked, Report, command
from core.check.report import conclusion, data, junit, lines
from core.check.walk import check
from core.errors import Refused, StepFailed
from demo.postgres import Server

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "demo/app/apps/api/migrations"


@dataclass(frozen=True)
class Case:
    """`before`: what an earlier migration made; then a migration and its rollback script."""

    name: str
    up: str
    down: str | None
    verdict: str
    says: str = ""
    before: str = ""
    reapplies: bool | None = True


TABLE = "CREATE TABLE {0} (id int PRIMARY KEY, a text NOT NULL DEFAULT 'x', b int);"
CASES = [
    Case("nothing_lost", "ALTER TABLE t ADD c int", "ALTER TABLE t DROP c", "exact", before=TABLE),
    Case("index", "DROP INDEX i_{1}", "SELECT 1", "differs", "index `i_index` is missing", TABLE + "CREATE INDEX i_{1} ON {0} (a)", False),
    Case("index_columns", "DROP INDEX i_{1}", "CREATE INDEX i_{1} ON t (b)", "differs", "index `i_index_columns` has", TABLE + "CREATE INDEX i_{1} ON {0} (a)"),
    Case("not_null", "ALTER TABLE t ALTER a DROP NOT NULL", "SELECT 1", "differs", "column `t_not_null.a` is nullable, was NOT NULL", TABLE),
    Case("default", "ALTER TABLE t ALTER a DROP DEFAULT", "ALTER TABLE t ALTER a SET DEFAULT 'y'", "differs", "has default `'y'::text`, had `'x'::text`", TABLE),
    Case("foreign_key", "ALTER TABLE t DROP CONSTRAINT f", "SELECT 1", "differs", "foreign key `t_foreign_key.f` is missing", TABLE + "ALTER TABLE {0} ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES {0}", False),
    Case("foreign_key_action", "ALTER TABLE t DROP CONSTRAINT f", "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES t", "differs", "foreign key `t_foreign_key_action.f` has definition", TABLE + "ALTER TABLE {0} ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES {0} ON DELETE CASCADE"),
    Case("check", "ALTER TABLE t DROP CONSTRAINT k", "ALTER TABLE t ADD CONSTRAINT k CHECK (b > 0) NOT VALID", "differs", "check constraint `t_check.k`", TABLE + "ALTER TABLE {0} ADD CONSTRAINT k CHECK (b > 0)"),
    Case("unique", "ALTER TABLE t ADD UNIQUE (a)", "SELECT 1", "differs", "unique constraint `t_unique.t_unique_a_key` is additional", TABLE, False),
    Case("grant", "REVOKE SELECT ON t FROM PUBLIC", "SELECT 1", "differs", "privileges on table `t_grant`", TABLE + "GRANT SELECT ON {0} TO PUBLIC"),
    Case("trigger", "DROP TRIGGER g ON t", "SELECT 1", "differs", "trigger `t_trigger.g` is missing", TABLE + "CREATE TRIGGER g BEFORE UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", False),
    Case("trigger_disabled", "ALTER TABLE t DISABLE TRIGGER g", "SELECT 1", "differs", "trigger `t_trigger_disabled.g`", TABLE + "CREATE TRIGGER g BEFORE UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"),
    Case("enum_value", "ALTER TYPE e_enum ADD VALUE 'c'", "SELECT 1", "differs", "`e_enum`", "CREATE TYPE e_enum AS ENUM ('a', 'b')", False),
    Case("function_body", "CREATE OR REPLACE FUNCTION f_b() RETURNS int LANGUAGE sql AS 'SELECT 2'", "SELECT 1", "differs", "function `f_b()` has another body", "CREATE FUNCTION f_b() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    Case("cascade", "CREATE OR REPLACE FUNCTION f_c() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$", "DROP FUNCTION f_c() CASCADE; CREATE FUNCTION f_c() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$", "differs", "trigger `t_cascade.g` is missing", TABLE + "CREATE FUNCTION f_c() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$; CREATE TRIGGER g BEFORE UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION f_c()", False),
    Case("column_order", "ALTER TABLE t DROP a", "ALTER TABLE t ADD a text NOT NULL DEFAULT 'x'", "cosmetic", "column order of `t_column_order` differs", TABLE),
    Case("left_over_table", "CREATE TABLE made (id int); CREATE TABLE kept (id int)", "DROP TABLE made", "differs", "table `kept` is additional", reapplies=False),
    Case("left_over_type", "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE moods (m mood)", "DROP TABLE moods", "differs", "type `mood` is additional", reapplies=False),
    Case("left_over_sequence", "CREATE SEQUENCE numbers", "SELECT 1", "differs", "sequence `numbers` is additional", reapplies=False),
    Case("view", "DROP VIEW v_{1}; ALTER TABLE t ADD c int", "ALTER TABLE t DROP c", "differs", "view `v_view` is missing", TABLE + "CREATE VIEW v_{1} AS SELECT a FROM {0}", False),
    Case("view_text", "CREATE OR REPLACE VIEW v_{1} AS SELECT a FROM t WHERE b > 0", "CREATE OR REPLACE VIEW v_{1} AS SELECT a FROM t WHERE b > 1", "differs", "view `v_view_text` has another definition", TABLE + "CREATE VIEW v_{1} AS SELECT a FROM {0}"),
    Case("changed_type", "ALTER TABLE t ALTER a TYPE varchar(50)", "ALTER TABLE t ALTER a TYPE varchar(90)", "differs", "column `t_changed_type.a` is `character varying(90)`, was `text`", TABLE),
    Case("comment", "COMMENT ON TABLE t IS NULL", "SELECT 1", "differs", "comment on table `t_comment` is missing", TABLE + "COMMENT ON TABLE {0} IS 'kept'"),
    Case("policy", "DROP POLICY p ON t", "SELECT 1", "differs", "policy `t_policy.p` is missing", TABLE + "CREATE POLICY p ON {0} USING (true)", False),
    Case("row_security", "ALTER TABLE t DISABLE ROW LEVEL SECURITY", "SELECT 1", "differs", "table `t_row_security`", TABLE + "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY"),
    Case("identity", "ALTER TABLE t ALTER id DROP IDENTITY", "SELECT 1", "differs", "column `t_identity.id`", "CREATE TABLE {0} (id int GENERATED ALWAYS AS IDENTITY)", False),
    Case("renamed", "ALTER TABLE t RENAME b TO c", "SELECT 1", "differs", "column `t_renamed.b` is missing", TABLE, False),
    Case("missing_script", "ALTER TABLE t ADD c int", None, "missing", "it has no rollback script", TABLE, None),
    Case("comments_only", "ALTER TABLE t ADD c int", "-- to be written\n", "empty", "column `t_comments_only.c` is additional", TABLE, None),
    Case("only_rows", "UPDATE t SET a = 'y'", "/* rows stay */", "empty", "", TABLE),
    Case("divides", "ALTER TABLE t ADD c int", "SELECT 1/0;", "irreversible", "divides by zero", TABLE, None),
    Case("says_so", "ALTER TABLE t ADD c int", "-- This one is irreversible.\n", "irreversible", "says so", TABLE, None),
    Case("raises", "ALTER TABLE t ADD c int", "DO $$ BEGIN RAISE EXCEPTION 'cannot be reverted'; END $$", "irreversible", "raises an error on purpose", TABLE, None),
    Case("says_so_in_a_constant", "ALTER TABLE t ADD c int", "SELECT 'not reversible'", "irreversible", "says so", TABLE, None),
    Case("only_talks_about_it", "ALTER TABLE t ADD c int", "-- the index is irreversible\nALTER TABLE t DROP c", "exact", "", TABLE),
    Case("works_then_raises_a_notice", "ALTER TABLE t ADD c int", "DO $$ BEGIN RAISE NOTICE 'irreversible'; ALTER TABLE t DROP c; END $$", "exact", "", TABLE),
    Case("nothing_needed", "ALTER TABLE t ADD c int", "-- no rollback needed", "empty", "holds no statement", TABLE, None),
    Case("no_such_name", "CREATE INDEX i_n ON t (b)", "\n\nDROP INDEX i_m", "fails", "line 3: 42704 index \"i_m\" does not exist.", TABLE, None),
    Case("semicolon", "ALTER TABLE t ADD c int", "ALTER TABLE t DROP c\nSELECT 1;", "fails", "line 2: syntax error", TABLE, None),
    Case("psql_command", "ALTER TABLE t ADD c int", "\\echo x\nALTER TABLE t DROP c;", "fails", "`\\echo` is a psql command", TABLE, None),
    Case("commits", "ALTER TABLE t ADD c int", "ALTER TABLE t DROP c; COMMIT; SELECT 1", "fails", "`COMMIT` stands in the script", TABLE, None),
    Case("wrapped", "BEGIN;\nALTER TABLE t ADD c int;\nCOMMIT;", "begin; ALTER TABLE t DROP c; end;", "exact", "", TABLE),
    Case("commit_in_a_body", "CREATE PROCEDURE p_c() LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$", "DROP PROCEDURE p_c()", "exact"),
    Case("copies", "CREATE TABLE copied (a int)", "COPY copied TO PROGRAM 'true'; DROP TABLE copied", "fails", "`COPY PROGRAM` moves rows", reapplies=None),
    Case("whole_server", "ALTER TABLE t ADD c int", "ALTER SYSTEM SET work_mem = '9MB'", "fails", "`ALTER SYSTEM` acts on the whole server", TABLE, None),
    Case("concurrently", "CREATE INDEX CONCURRENTLY i_c ON t (a)", "DROP INDEX CONCURRENTLY i_c", "exact", "", TABLE),
    Case("concurrently_lost", "DROP INDEX CONCURRENTLY i_l", "SELECT 1", "differs", "index `i_l` is missing", TABLE + "CREATE INDEX i_l ON {0} (a)", False),
    Case("value_used_at_once", "ALTER TYPE e_v ADD VALUE 'z'; ALTER TABLE t ALTER a SET DEFAULT 'z'::e_v", "ALTER TABLE t ALTER a SET DEFAULT 'x'", "differs", "`e_v`", TABLE + "CREATE TYPE e_v AS ENUM ('a')", False),
    Case("vacuums", "ALTER TABLE t ADD c int; VACUUM t", "ALTER TABLE t DROP c", "exact", "", TABLE),
    Case("same_rows_twice", "INSERT INTO t VALUES (1)", "SELECT 1", "exact", "it does not apply again: `{2}.sql`, line 1: 23505", TABLE, False),
    Case("deferred", "INSERT INTO t VALUES (1, 'a', 1); ALTER TABLE u ADD c int", "ALTER TABLE u DROP c; DELETE FROM t", "exact", "", "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1);" + TABLE + "ALTER TABLE {0} ADD FOREIGN KEY (b) REFERENCES u DEFERRABLE INITIALLY DEFERRED"),
    Case("settings_leak", "SET search_path = ''; ALTER TABLE public.t ADD c int", "ALTER TABLE t DROP c; SET ROLE pg_monitor; SET statement_timeout = 0", "exact", "", TABLE),
    Case("new_schema", "CREATE TABLE s_n (a int)", "DROP TABLE s_n; SELECT 1", "exact", "", "CREATE SCHEMA extra"),
    Case("makes_a_role", "CREATE ROLE check_made_this; GRANT SELECT ON t TO check_made_this", "REVOKE SELECT ON t FROM check_made_this; DROP ROLE check_made_this", "exact", "", TABLE),
    Case("lacks_a_role", "GRANT SELECT ON t TO \"check 'lacks' this\"", "REVOKE SELECT ON t FROM \"check 'lacks' this\"", "exact", "", TABLE),
    Case("hostile", 'ALTER TABLE "a `b\n""c" ADD "drop table \u202e" int', "SELECT 1", "differs", "is additional", 'CREATE TABLE "a `b\n""c" (a int)', False),
    Case("sleeps", "ALTER TABLE t ADD c int", "SET statement_timeout = 0; SELECT pg_sleep(60)", "fails", "it did not end within 2 s", TABLE, None),
    Case("ends_its_connection", "ALTER TABLE t ADD c int", "SELECT pg_terminate_backend(pg_backend_pid())", "fails", "line 1: ", TABLE, None),
    Case("drops_more", "ALTER TABLE t ADD c int", "ALTER TABLE t DROP c; DROP SCHEMA extra", "differs", "schema `extra` is missing", TABLE, False),
    Case("still_fine_at_the_end", "ALTER TABLE t ADD c int", "ALTER TABLE t DROP c", "exact", "", TABLE),
]  # fmt: skip


def filled(text: str, name: str, stem: str) -> str:
    """Every case has a table of its own: `t` stands for it."""
    return re.sub(r"\bt\b", f"t_{name}", text.replace("{0}", "t").replace("{1}", name).replace("{2}", stem))


def write(folder: Path, stem: str, up: str, down: str | None) -> None:
    (folder / "rollback").mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.sql").write_text(up)
    if down is not None:
        (folder / "rollback" / f"{stem}.sql").write_text(down)


@pytest.fixture(scope="module")
def report(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """All cases in one walk, each with a table of its own, after one migration that makes what they start from."""
    folder = tmp_path_factory.mktemp("cases")
    write(folder, "000_before", ";\n".join(filled(case.before, case.name, "") for case in CASES), None)
    for at, case in enumerate(CASES, 1):
        stem = f"{at:03}_{case.name}"
        up, down = (script and filled(script, case.name, stem) for script in (case.up, case.down))
        write(folder, stem, str(up), down)
    return check(folder, server.url(), layout="paired", since="001", timeout=2)


def told(one: Checked) -> str:
    return "\n".join([one.problem, one.again, *(change.message for change in one.differences)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_broken_script_gets_its_verdict_and_its_sentence(report: Report, case: Case) -> None:
    one = next(one for one in report.migrations if one.id[4:] == case.name)
    stem = one.id
    assert (one.verdict, one.reapplies) == (case.verdict, case.reapplies), told(one)
    assert filled(case.says, case.name, stem) in told(one)


def test_there_are_more_than_twenty_kinds_of_damage() -> None:
    assert sum(case.verdict == "differs" for case in CASES) >= 20


def test_nothing_is_left_on_the_scratch_server(server: Server, report: Report) -> None:
    with psycopg.connect(server.url()) as conn:
        databases = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'rollback%check%'").fetchall()
        roles = conn.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'check%this'").fetchall()
    assert (databases, roles) == ([], [])


def test_a_script_that_the_bot_itself_would_refuse_has_a_note(report: Report) -> None:
    notes = {one.id[4:]: one.notes for one in report.migrations}
    assert notes["concurrently"] == ()  # it runs by itself
    assert any("the bot would refuse it: `rollback/" in note for note in notes["wrapped"])
    assert any("`BEGIN` and `COMMIT` around the whole script were left out" in note for note in notes["wrapped"])
    assert notes["nothing_lost"] == ()
    assert notes["lacks_a_role"][0].endswith("the role `check 'lacks' this` was made for the time of the check")


def test_the_sample_application_goes_back_exactly_seven_times(server: Server) -> None:
    report = check(SAMPLE, server.url())
    assert [(one.verdict, one.reapplies) for one in report.migrations] == [("exact", True)] * 7
    assert report.harmful == 0
    assert lines(report)[-1] == "all 7 can be undone"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five migrations, of which the second and the fourth do not apply."""
    made = tmp_path / "migrations"
    write(made, "001_a", "CREATE TABLE a (id int)", "DROP TABLE a")
    write(
        made,
        "002_b",
        "CREATE INDEX CONCURRENTLY i ON a (id); CREATE TABLE b (id missing)",
        "DROP TABLE b; DROP INDEX i",
    )
    write(made, "003_c", "CREATE TABLE c (id int)", "DROP TABLE c")
    write(made, "004_d", "CREATE TABLE x (id int); SELECT pg_terminate_backend(pg_backend_pid())", "DROP TABLE d")
    write(made, "005_e", "ALTER TABLE c ADD d int", "ALTER TABLE c DROP d")
    return made


def test_a_migration_that_fails_is_undone_and_the_rest_is_tried(server: Server, folder: Path) -> None:
    report = check(folder, server.url())
    assert [one.verdict for one in report.migrations] == ["exact", "fails", "exact", "fails", "exact"]
    second, fourth = report.migrations[1], report.migrations[3]
    assert second.problem == 'does not apply: `002_b.sql`, line 1: 42704 type "missing" does not exist.'
    assert "`002_b` could not be applied before; this may come of it" in fourth.notes
    assert report.harmful == 2


def test_since_only_applies_what_came_before_and_still_says_what_fails(server: Server, folder: Path) -> None:
    report = check(folder, server.url(), since="3")
    assert [one.id for one in report.migrations] == ["002_b", "003_c", "004_d", "005_e"]
    report = check(folder, server.url(), since="005_e")
    assert [(one.id, one.verdict) for one in report.migrations][-1] == ("005_e", "exact")


def test_an_unknown_version_is_refused_with_the_nearest_one(server: Server, folder: Path) -> None:
    with pytest.raises(Refused, match=r"I know no migration `004_dd`\. Did you mean `004_d`\?"):
        check(folder, server.url(), since="004_dd")


def test_an_empty_folder_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        check(tmp_path, server.url(), layout="goose")
    assert caught.value.code == "E-NOTHING"


def test_a_scratch_server_that_is_away_is_refused_in_one_sentence(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        command.run(command.parse([str(folder), "--scratch", f"postgresql:///x?host={tmp_path}"]), {}, io.StringIO())
    assert caught.value.code == "E-SCRATCH" and str(tmp_path) not in caught.value.text


# -- what comes out


def test_the_report_for_machines_has_every_field(report: Report) -> None:
    found = json.loads(json.dumps(data(report)))
    assert found["layout"] == "paired" and found["findings"] == report.harmful
    by_name = {one["id"][4:]: one for one in found["migrations"]}
    index = by_name["index"]
    assert (index["verdict"], index["reapplies"], index["harmful"]) == ("differs", False, True)
    change = index["differences"][0]
    assert (change["kind"], change["object"], change["severity"]) == ("index", "public.i_index", "harmful")
    assert change["message"] == "index `i_index` is missing"
    assert by_name["column_order"]["differences"][0]["severity"] == "cosmetic"
    assert by_name["column_order"]["harmful"] is False
    assert by_name["no_such_name"]["problem"].endswith("does not exist.")
    assert sum(found["counts"].values()) == len(found["migrations"])


def test_the_report_for_ci_is_well_formed_xml_with_one_case_for_each_migration(report: Report) -> None:
    suite = Xml.fromstring(junit(report)).find("testsuite")  # noqa: S314  (our own text)
    assert suite is not None
    cases = {case.attrib["name"][4:]: case for case in suite.findall("testcase")}
    assert len(cases) == len(report.migrations) == int(suite.attrib["tests"])
    assert len([case for case in cases.values() if case.find("failure") is not None]) == int(suite.attrib["failures"])
    failure = cases["index"].find("failure")
    assert failure is not None and "index `i_index` is missing" in str(failure.text)
    assert cases["divides"].find("skipped") is not None
    assert len(cases["nothing_lost"]) == 0


def test_the_table_shows_hostile_names_on_one_line(report: Report) -> None:
    text = lines(report)
    assert not any(char in line for line in text for char in "\n\u202e\r\x1b")
    assert text[-1] == f"{report.harmful} findings"


def test_the_last_line_says_what_can_be_undone(server: Server, tmp_path: Path) -> None:
    write(tmp_path, "001_a", "CREATE TABLE a (id int)", "DROP TABLE a")
    write(tmp_path, "002_b", "CREATE TABLE b (id int)", "-- irreversible")
    assert conclusion(check(tmp_path, server.url())) == "no findings: 1 can be undone, 1 declared irreversible"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_is_wiped_and_a_file_gets_none(server: Server) -> None:
    asked = command.parse([str(SAMPLE), "--scratch", server.url()])
    terminal, file = Terminal(), io.StringIO()
    for out in (terminal, file):
        command.run(asked, {"TERM": "xterm"}, out)
    assert "] 3 of 7  004_verifications" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert file.getvalue() == ""


# -- the shell


def shell(server: Server, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env |= {"TEST_DATABASE_URL": server.url(), "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "core", "check", *words]
    return subprocess.run(line, capture_output=True, text=True, env=env, cwd=cwd or ROOT, timeout=60, check=False)


def test_the_shell_needs_no_settings_and_ends_with_3_where_something_was_found(server: Server, tmp_path: Path) -> None:
    write(tmp_path / "m", "001_a", "CREATE TABLE a (id int)", None)
    done = shell(server, "m", "--junit", "out.xml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.splitlines()[0] == "001_a  missing       it has no rollback script"
    assert "<failure" in (tmp_path / "out.xml").read_text()
    fine = shell(server, str(SAMPLE), "--json")
    found = json.loads(fine.stdout)
    assert fine.returncode == 0 and found["ok"] and found["schema_version"] == 1
    assert [one["verdict"] for one in found["migrations"]] == ["exact"] * 7


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--layuot", "goose"], "I do not know the flag `--layuot`. Did you mean `--layout`?"),
        (["a", "b"], "`check` takes one folder, not 2."),
        (["a", "--since"], "`--since` needs a word after it."),
        (["a", "--since=1", "--since=2"], "`--since` stands there twice."),
    ],
)
def test_words_that_are_not_understood_are_refused(words: list[str], says: str) -> None:
    with pytest.raises(Refused) as caught:
        command.parse(words)
    assert caught.value.code == "E-USAGE" and caught.value.message == says
    assert "rollback" not in caught.value.message


def test_without_a_folder_the_target_of_the_settings_is_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "rollback.toml").write_text(
        f"""[targets.production]
database_url = "{server.url("nowhere")}"
scratch_url = "{server.url()}"
migrations = "{SAMPLE}"
approvals = 0
"""
    )
    done = shell(server, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "all 7 can be undone"), done.stderr
    assert shell(server, "--on", "prod", cwd=tmp_path).returncode == 2


def test_without_a_folder_and_settings_the_folder_is_asked_for(server: Server, tmp_path: Path) -> None:
    done = shell(server, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Name the folder of the migrations: there are no settings here that do. It is typed:")


def test_a_folder_that_does_not_exist_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="The migrations folder does not exist"):
        check(tmp_path / "none", server.url())


def test_a_hundred_migrations_take_seconds(server: Server, tmp_path: Path) -> None:
    """Three hundred take 12 s on two idle cores; the limit leaves room for a busy machine."""
    for at in range(100):
        table = f"t{at // 5}"
        up = f"ALTER TABLE {table} ADD c{at} text NOT NULL DEFAULT 'x'; CREATE INDEX i{at} ON {table} (c{at})"
        down = f"ALTER TABLE {table} DROP c{at}"
        if at % 5 == 0:
            up, down = f"CREATE TABLE {table} (id bigserial PRIMARY KEY, b int CHECK (b > 0))", f"DROP TABLE {table}"
        write(tmp_path, f"{at:03}_m", up, down)
    started = time.monotonic()
    report = check(tmp_path, server.url())
    assert {one.verdict for one in report.migrations} == {"exact"}
    assert time.monotonic() - started < 30
