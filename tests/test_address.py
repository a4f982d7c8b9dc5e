"""Connection strings are read as libpq reads them, without connecting."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from core import address


@given(st.from_regex(address.PLAIN, fullmatch=True))
@example("postgresql://")
def test_the_quick_reading_of_urls_agrees_with_libpq(url: str) -> None:
    try:
        read = address.fields(url)
    except ValueError:
        return
    assert read == {key: value for key, value in conninfo_to_dict(url).items() if value}


def test_what_a_url_leaves_out_comes_from_libpq_variables() -> None:
    env = {"PGHOST": "db", "PGPORT": "5433", "PGUSER": "app"}
    assert address.address("", env) == address.address("postgresql://app@DB:5433/app", {})
    assert address.address("", {"PGSERVICE": "prod", "PGDATABASE": "app"}).servers == {("service prod", "5432")}
