"""A value of whatever type comes back as it was, by each way on which it can go."""

from __future__ import annotations

import psycopg
import pytest

from tests.save_bench import Bench

SETUP = """
    CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION isn;
    CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'ä b');
    CREATE TYPE pair AS (a integer, b text);
    CREATE TYPE span AS RANGE (SUBTYPE = numeric);
    CREATE DOMAIN score AS smallint CHECK (VALUE >= 0);
    CREATE DOMAIN scores AS score[];
    CREATE DOMAIN yes AS boolean;
    CREATE TYPE odd AS ENUM ('x', 'y');
    CREATE FUNCTION odd_text(odd) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'something else' $$;
    CREATE FUNCTION text_odd(text) RETURNS odd LANGUAGE sql IMMUTABLE AS $$ SELECT 'y'::odd $$;
    CREATE CAST (odd AS text) WITH FUNCTION odd_text(odd);
    CREATE CAST (text AS odd) WITH FUNCTION text_odd(text);
"""
VALUES: dict[str, list[str]] = {
    "boolean": ["true", "false"],
    "smallint": ["-32768"],
    "bigint": ["9223372036854775807"],
    "numeric": ["'NaN'", "'-Infinity'", "1.500", "1e-130", "123456789012345678901234567890.1"],
    "numeric(12,4)": ["1.5"],
    "real": ["'NaN'", "'Infinity'", "1.1", "1e-38"],
    "double precision": ["'-Infinity'", "0.1", "'-0'", "1e-300"],
    "money": ["'-12.34'", "1234567.89"],
    "text": [r"E'\\N'", r"E'\\.'", r"E'a\tb\nc\rd\\e'", "''", "'ä€😀'", "repeat('long ', 100000)"],
    "varchar(5)": ["'ab  '"],
    "char(5)": ["'ab'"],
    '"char"': ["'a'"],
    "name": ["'n'"],
    'text COLLATE "C"': ["'x'"],
    "bytea": [r"'\x00ff5c'", "''"],
    "date": ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'"],
    "timestamp": ["'infinity'", "'2026-03-29 02:30:00.123456'"],
    "timestamptz(3)": ["'-infinity'", "'2026-10-25 02:30:00.1+02'"],
    "time": ["'24:00'"],
    "timetz": ["'12:00:00.5+05:30'"],
    "interval": ["'-1 year +2 months -3 days 04:05:06.7'", "'-178000000 years'"],
    "uuid": ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"],
    "json": ['\' {"a" : 1, "a": null}\'', "'null'"],
    "jsonb": ["'null'", "'\"x\"'", r"""E'{"a": "\\\\n\\u00e4"}'"""],
    "jsonpath": ["'$.a[*] ? (@ > 1)'"],
    "xml": ["'<a>b</a>'", "'<?xml version=\"1.0\"?><a/>'", "'just text'"],
    "inet": ["'10.0.0.1'", "'10.0.0.1/24'", "'::1'"],
    "cidr": ["'10.0.0.0/8'", "'10.1.2.3/32'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    "bit(5)": ["B'10101'"],
    "varbit": ["B''", "B'101'"],
    "point": ["'(1.1,2)'"],
    "line": ["'{1,2,3}'"],
    "lseg": ["'[(1,2),(3,4)]'"],
    "box": ["'(1,2),(3,4)'"],
    "path": ["'((1,2),(3,4))'", "'[(1,2),(3,4)]'"],
    "polygon": ["'((1,2),(3,4),(5,6))'"],
    "circle": ["'<(1,2),3>'"],
    "tsvector": ["'a:1A b:2 ''c d'''"],
    "tsquery": ["'a & !b <-> ''c d'''"],
    "integer[]": ["'{}'", "'{1,NULL,3}'", "'[2:3]={1,2}'"],
    "text[]": [r"""ARRAY[['a,b', 'c"d'], [NULL, 'NULL']]""", r"""ARRAY[E'\\', '', '{}', ' x ']"""],
    "int4range": ["'empty'", "'[1,5)'", "'(,)'"],
    "tstzrange": ["'[2026-01-01,infinity]'"],
    "nummultirange": ["'{[1,2),(3,4]}'"],
    "pg_lsn": ["'16/B374D848'"],
    "oid": ["4294967295"],
    "regclass": ["'pg_catalog.pg_class'"],
    "regtype": ["'integer'"],
    "xid8": ["'18446744073709551615'"],
    "pg_snapshot": ["'10:20:10,14'"],
    "mood": ["'it''s \"ok\"'", "'ä b'"],
    "mood[]": ["ARRAY['sad', NULL]::mood[]"],
    "pair": ["ROW(1, NULL)", "ROW(NULL, NULL)", "ROW(NULL, '')", "ROW(1, 'a,\"b\" (c)')"],
    "pair[]": ["ARRAY[ROW(1, NULL), NULL]::pair[]"],
    "span": ["'[1.5,2.5)'"],
    "score": ["5"],
    "scores": ["'{1,2}'"],
    "yes": ["true"],
    "odd": ["'x'"],
    "citext": ["'AbC'"],
    "hstore": ['\'a=>1, b=>NULL, "c d"=>""\''],
    "ltree": ["'a.b.c'"],
    "cube": ["'(1,2),(3,4)'"],
    "isbn": ["'978-0-393-04002-9'"],
}
WAYS = {
    "in a table that is dropped": ("DROP TABLE t", "CREATE TABLE t (id integer PRIMARY KEY, {types})"),
    "in a table that is emptied": ("TRUNCATE t", ""),
    "in rows that are deleted": ("DELETE FROM t", ""),
    "in rows that are updated": ("UPDATE t SET {nulls}", ""),
    "in rows that are updated and deleted": ("UPDATE t SET c0 = NULL; DELETE FROM t", ""),
    "in columns that are dropped": ("ALTER TABLE t {drops}", "ALTER TABLE t {adds}"),
    "in columns that are dropped and made again": ("ALTER TABLE t {drops}, {texts}", "ALTER TABLE t {drops}, {adds}"),
    "in columns that get another type": ("ALTER TABLE t {others}", "ALTER TABLE t {again}"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", [" PRIMARY KEY", ""], ids=["with a key", "without a key"])
def test_values_of_every_type_come_back(saves: Bench, way: str, key: str) -> None:
    values = {kind: one for kind, one in VALUES.items() if kind != "xml" or knows_xml(saves)}
    columns = [(f"c{n}", kind) for n, kind in enumerate(values)]
    forms = {
        "types": "{} {}", "nulls": "{} = NULL", "drops": "DROP {}", "adds": "ADD {} {}", "texts": "ADD {} text",
        "others": "ALTER {} TYPE integer USING 7", "again": "ALTER {} TYPE {} USING NULL",
    }  # fmt: skip
    pieces = {name: ", ".join(form.format(*column) for column in columns) for name, form in forms.items()}
    setup = f"{SETUP}; CREATE TABLE t (id integer PRIMARY KEY, {pieces['types']}); {filled(columns, values)}"
    rollback, forward = (script.format(**pieces) for script in WAYS[way])
    case = saves.run(setup.replace(" PRIMARY KEY", key), rollback, forward.replace(" PRIMARY KEY", key))
    case.same()


def knows_xml(saves: Bench) -> bool:
    """Was this server built with libxml?"""
    try:
        saves.sql("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


def filled(columns: list[tuple[str, str]], values: dict[str, list[str]]) -> str:
    """One row for each value, one with a value of each type, and one with none."""
    each = {kind: [f"({one})::{kind.partition(' COLLATE')[0]}" for one in found] for kind, found in values.items()}
    rows = [f"({name}) VALUES ({one})" for name, kind in columns for one in each[kind]]
    rows += [f"({', '.join(name for name, _ in columns)}) VALUES ({', '.join(each[kind][0] for _, kind in columns)})"]
    rows += ["(c0) VALUES (NULL)"]
    listed = [row.replace("(c", "(id, c", 1).replace("VALUES (", f"VALUES ({n}, ", 1) for n, row in enumerate(rows)]
    return "; ".join(f"INSERT INTO t {row}" for row in listed)
