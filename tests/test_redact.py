"""What leaves the program holds no secret, no row content and no invisible character."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.redact import Redactor, SecretStr, passwords, pg_error, visible
from demo import postgres

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


def test_a_long_or_deceiving_error_is_cut_and_shown(url: str) -> None:
    long = pg_error(error_of(url, f"DO $$ BEGIN RAISE EXCEPTION '{'x' * 500}'; END $$"))
    assert len(long) == 200 and long.startswith("P0001 xxx") and long.endswith("…")
    odd = pg_error(error_of(url, "DO $$ BEGIN RAISE EXCEPTION E'a\u202eb\\nsecond line'; END $$"))
    assert odd == "P0001 a\\u202eb"


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
