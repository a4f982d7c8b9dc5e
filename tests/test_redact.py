"""What leaves the program holds no secret, no row content and no invisible character."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.messages import text as words
from core import pgtools, script
from core.errors import Refused
from core.redact import Redactor, SecretStr, clean_all, install, passwords, pg_error, visible
from core.settings import Settings
from demo import postgres
from demo.bench import ROOT

PASSWORD = "s3kret/with 'odd' \"signs\" & ümlaut\\ %"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A real server's URL."""
    folder = Path(tempfile.mkdtemp(prefix="rb-redact-"))
    try:
        with postgres.start(folder) as server:
            yield server.url()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def error_of(url: str, sql: str) -> psycopg.Error:
    with psycopg.connect(url) as conn, pytest.raises(psycopg.Error) as caught:
        conn.execute(sql)
    return caught.value


def test_a_password_goes_in_every_spelling() -> None:
    funnel = Redactor([PASSWORD])
    for spelling in (
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe="").lower(),
        quote_plus(PASSWORD),
        json.dumps(PASSWORD),
        repr(PASSWORD),
        PASSWORD.replace("&", "&amp;"),
    ):
        assert "s3kret" not in funnel.redact(f"before {spelling} after").lower()


@given(st.text(min_size=4).filter(str.strip))
def test_any_password_is_gone_from_the_url_and_from_plain_text(password: str) -> None:
    address = f"postgresql://app:{quote(password, safe='')}@db/app"
    funnel = Redactor(passwords(address))
    assert password not in funnel.redact(f"<{password}>").replace("•••", "")
    assert quote(password, safe="") not in funnel.redact(address)


def test_secrets_that_no_setting_names_go_by_their_shape() -> None:
    funnel = Redactor()
    for text in (
        "postgresql://app:hunter2@db/app",
        "could not parse postgresql://app:hun@ter/hunter2@db:5432/app now",
        "host=db password=hunter2 user=app",
        "host=db password = 'it\\'s hunter2' user=app",
        "postgresql://db/app?user=app&password=hunter2&sslmode=require",
        "token xoxb-123-hunter2 and xapp-1-hunter2",
        "https://hooks.slack.com/commands/T0/hunter2",
        "otpauth://totp/Rollback%20Bot:Bob?secret=hunter2&issuer=Rollback%20Bot",
        "unset AWS_SECRET_ACCESS_KEY=hunter2 first",
        '{"user": "app", "token": "hunter2"}',
    ):
        assert "hunter2" not in funnel.redact(text), text


def test_ordinary_words_and_addresses_stay() -> None:
    funnel = Redactor(["app", ""])
    for text in (
        "the app on https://api.example.com:8443/health said no to ana@example.com",
        "postgresql://db.example.com:5432/app is reached",
        "012_stripe_events, 011_subscriptions: 48,213 rows",
    ):
        assert funnel.redact(text) == text


def test_passwords_are_found_in_connection_strings_too() -> None:
    assert passwords("host=db password='a b' user=x") == ["a b"]
    assert passwords("postgresql://app@db/app?password=a%20b") == ["a b"]
    assert passwords("https://probe:pw%40@api/health") == ["pw%40"]
    assert passwords("postgresql://db/app") == []


def test_a_secret_does_not_show_itself() -> None:
    secret = SecretStr("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret == SecretStr("hunter2") and secret != SecretStr("hunter3") and secret.get_secret_value() == "hunter2"


def test_an_error_is_its_sqlstate_and_first_line(url: str) -> None:
    assert pg_error(error_of(url, "SELECT * FROM plans")) == '42P01 relation "plans" does not exist'


def test_row_content_stays_out_of_errors(url: str) -> None:
    taken = "CREATE TEMP TABLE t (email text PRIMARY KEY); INSERT INTO t VALUES ('ana@x'), ('ana@x')"
    assert pg_error(error_of(url, taken)) == '23505 duplicate key value violates unique constraint "t_pkey"'
    cast = "SELECT v::int FROM (VALUES ('ana@x \"quoted\" y')) t (v)"
    assert pg_error(error_of(url, cast)) == '22P02 invalid input syntax for type integer: "…"'


def test_what_a_function_raises_itself_stays_out(url: str) -> None:
    raised = "DO $$ BEGIN RAISE EXCEPTION 'no room for %', 'ana@x' USING ERRCODE = '23505'; END $$"
    for statement in (raised, "DO $$ BEGIN ASSERT false, 'ana' || '@x'; END $$"):
        said = pg_error(error_of(url, statement), statement)
        assert "ana" not in said and "its words are not shown" in said
    plain = "DO $$ BEGIN RAISE EXCEPTION 'it''s still in use'; END $$"
    assert pg_error(error_of(url, plain), plain) == "P0001 it's still in use"


def test_bytes_of_a_row_stay_out_of_errors(url: str) -> None:
    said = pg_error(error_of(url, "SELECT convert_from('\\xff41'::bytea, 'UTF8')"))
    assert said == '22021 invalid byte sequence for encoding "…": …'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type integer: "ana@x"',
            'COPY failed for table "t": a row was not taken',
        ),
        (
            'pg_restore: error: COPY failed for table "t": ERROR:  mail ana@x is taken',
            'COPY failed for table "t": a row was not taken',
        ),
        (
            'pg_restore: error: COPY failed for table "t": ERROR:  new row for relation "t" violates check constraint "c"',
            'COPY failed for table "t": new row for relation "…"',
        ),
        ("pg_dump: error: query failed: ERROR:  permission denied for table x", "permission denied for table x"),
    ],
)
def test_what_a_client_program_complains_of_holds_no_row(line: str, said: str) -> None:
    assert pgtools.said(f"pg_restore: while it works\n{line}\nDETAIL: ana@x") == said


def test_what_our_environment_calls_a_secret_is_one() -> None:
    env = {
        "AWS_SECRET_ACCESS_KEY": "wJalr-1", "SOME_TOKEN": "ghp-123456", "TOKEN_CHECK": "true",
        "HTTPS_PROXY": "http://me:proxy-pw@proxy:3128",
    }  # fmt: skip
    funnel = Redactor.of(Settings(), env)
    assert funnel.redact("ghp-123456 proxy-pw true") == "••• ••• true"
    assert "wJalr" not in funnel.redact("env: AWS_SECRET_ACCESS_KEY=wJalr-1")
    assert funnel.redact('{"password": "short"}') == "{•••}"


def test_a_script_that_holds_a_secret_of_ours_is_refused() -> None:
    install(Redactor(["s3cret-of-ours", "postgres"]))
    try:
        with pytest.raises(Refused, match="a password or token of the settings stands in it"):
            script.read("x.sql", b"ALTER ROLE app PASSWORD 's3cret-of-ours'")
        assert script.read("x.sql", b"ALTER TABLE t OWNER TO postgres").statements
    finally:
        install(Redactor())


def test_a_shape_hides_no_code_from_who_approves() -> None:
    assert clean_all({"sql": ["SET password=1;DROP TABLE t"]}) == {"sql": ["SET password=1;DROP TABLE t"]}


LOGGED = r"""
import logging, sys, threading, warnings
import structlog
from core.logs import set_up
from core.redact import SecretStr
from core.settings import Settings, SlackSettings
hidden, words = sys.argv[1], "ana@" + "x"
class Falls:
    def __del__(self):
        raise TypeError(hidden)
for form in ("console", "json"):
    set_up(Settings(slack=SlackSettings(bot_token=SecretStr(hidden)), log_format=form, log_level="debug"))
    log, theirs = structlog.get_logger(), logging.getLogger("theirs")
    log.info("a", text=hidden, deep=[{"k": (hidden,)}], thing=Exception(hidden), forged="x\n2026-11-10 [info] approved")
    log.error("bug", exc_info=KeyError(hidden))
    try:
        try:
            int(words)
        except ValueError:
            raise RuntimeError(hidden)
    except RuntimeError as error:
        log.error("bug", exc_info=error)
        theirs.exception("theirs %s", hidden)
    theirs.info("%d", hidden)
    warnings.warn(hidden + form)
    thread = threading.Thread(target=int, args=(words,))
    thread.start()
    thread.join()
    Falls()
raise OSError(5, hidden)
"""


def test_whatever_is_logged_warned_of_or_not_caught_passes_the_funnel() -> None:
    words = [sys.executable, "-c", LOGGED, "canary-of-the-log-1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "canary" not in done.stderr and "ana@x" not in done.stderr
    assert done.stderr.count("bug") == 9
    assert done.stderr.replace("\\u2022", "•").count("RuntimeError: •••") == 4
    assert not [line for line in done.stderr.splitlines() if line.startswith("2026-11-10")]


def test_a_long_or_deceiving_error_is_cut_and_shown(url: str) -> None:
    script = f"DO $$ BEGIN RAISE EXCEPTION '{'x' * 500}'; END $$"
    long = pg_error(error_of(url, script), script)
    assert len(long) == 200 and long.startswith("P0001 xxx") and long.endswith("…")
    odd = pg_error(error_of(url, 'SELECT "a\u202eb"'))
    assert "\u202e" not in odd and "\\u202e" in odd


@pytest.mark.parametrize(
    ("conninfo", "said"),
    [
        ("postgresql://app:hunter2@127.0.0.1:1/app", "Connection refused"),
        ("postgresql://app:hunter2%zz@db/app", "the connection settings or the query were not understood"),
        ("host=/tmp/hunter2", "No such file or directory"),
    ],
)
def test_an_unreachable_server_is_told_without_path_or_password(conninfo: str, said: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        psycopg.connect(conninfo)
    assert pg_error(caught.value) == said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("dos\r\nline", "dos\nline"),
        ("a\rb", "a\\u000db"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("blank\u3164letter", "blank\\u3164letter"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("\x1b[31mred\x00", "\\u001b[31mred\\u0000"),
        ("Ünïcode – “fine”, 48\u202f213, 你好", "Ünïcode – “fine”, 48\u202f213, 你好"),
    ],
)
def test_what_deceives_a_reader_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


FULL = """
import logging, structlog
from core.logs import set_up
from core.settings import Settings
set_up(Settings())
for _ in range(3):
    structlog.get_logger().error("lost")
    logging.getLogger("library").error("lost")
print("went on")
"""


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", FULL], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, text=True)
    assert "went on" in done.stdout


@pytest.mark.parametrize(
    "secret", ["pa*ss*word-1", "pa`ss`word-2", "~tilde~word-3", ":tada:word-4", "_under_ word-5", "x" * 600]
)
def test_a_secret_that_a_message_would_write_otherwise_is_known_before(secret: str) -> None:
    install(Redactor([secret]))
    try:
        for said in (words.data, words.code, words.sql_text, words.prose, words.bare):
            shown = said(f"the server says {secret}, twice: {secret}")
            assert "word" not in shown and "xxx" not in shown and "the server says" in shown, said
    finally:
        install(Redactor())
