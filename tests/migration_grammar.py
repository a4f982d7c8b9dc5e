"""A small grammar of migrations: every rule draws one of its alternatives, `<name>` in it draws that rule in turn."""

from __future__ import annotations

import re

from hypothesis import strategies as st

ROLES = ("prop_reader", "prop_owner")

BASE = r"""
CREATE SCHEMA app;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN score AS integer CHECK (VALUE >= 0);
CREATE SEQUENCE ticket;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE TABLE one (id integer PRIMARY KEY, x integer, y text, z timestamptz NOT NULL DEFAULT now());
CREATE TABLE two (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x integer REFERENCES one, y varchar(20) DEFAULT 'a', m mood);
CREATE TABLE app.three (id serial, x integer NOT NULL, y text);
CREATE TABLE parts (id integer NOT NULL, x integer, y text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 (id integer NOT NULL, x integer, y text);
CREATE INDEX one_x ON one (x);
CREATE VIEW seen AS SELECT id, x FROM two;
CREATE MATERIALIZED VIEW kept AS SELECT id, x FROM one;
CREATE TRIGGER touched BEFORE UPDATE ON one FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE quiet AS ON DELETE TO two DO INSTEAD NOTHING;
CREATE POLICY own ON one USING (x > 0);
CREATE STATISTICS stats (dependencies) ON x, y FROM one;
CREATE PUBLICATION feed FOR TABLE one;
CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION watch();
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE remote (x integer) SERVER far;
GRANT SELECT ON one TO prop_reader;
CREATE INDEX k2 ON one (lower(y));
CREATE INDEX kept_id ON kept (id);
CREATE INDEX parts_x ON ONLY parts (x);
CREATE INDEX part1_x ON part1 (x);
CREATE TABLE part3 PARTITION OF parts FOR VALUES FROM (50) TO (60);
CREATE TABLE heir2 () INHERITS (one);
ALTER TABLE app.three ADD g integer GENERATED ALWAYS AS (x * 2) STORED;
CREATE UNIQUE INDEX two_xx ON two (x);
CREATE TABLE heir (id integer NOT NULL, x integer, y text, z timestamptz NOT NULL);
CREATE SEQUENCE k4;
CREATE TYPE k2 AS ENUM ('a');
CREATE VIEW "K; ""3" AS SELECT 1 AS a;
CREATE SCHEMA k1;
CREATE FUNCTION k1() RETURNS integer LANGUAGE sql AS 'SELECT 1';
ALTER TABLE one ADD CONSTRAINT k1 CHECK (x > 7) NO INHERIT NOT VALID;
ALTER TABLE two ADD CONSTRAINT k1 FOREIGN KEY (x) REFERENCES one NOT VALID;
ALTER TABLE part1 ADD CONSTRAINT k1 UNIQUE (x);
ALTER DOMAIN score ADD CONSTRAINT k1 CHECK (VALUE < 99) NOT VALID;
CREATE TRIGGER k1 AFTER INSERT ON two FOR EACH ROW EXECUTE FUNCTION touch();
CREATE EXTENSION citext;
CREATE CAST (boolean AS pair) WITH INOUT;
CREATE TEXT SEARCH CONFIGURATION k1 (COPY = simple);
COMMENT ON TABLE one IS 'first';
COMMENT ON COLUMN one.x IS 'the x';
"""

GRAMMAR: dict[str, list[str]] = {
    "statement": [
        "<tables>", "<columns>", "<columns>", "<columns>", "<constraints>", "<constraints>", "<indexes>", "<indexes>",
        "<views>", "<functions>", "<triggers>", "<policies>", "<grants>", "<grants>", "<comments>", "<types>",
        "<sequences>", "<owners>", "<options>", "<partitions>", "<statistics>", "<publications>", "<rules>", "<others>",
    ],
    # names: those of BASE and some that are free at first; the last are hostile
    "t": ["one", "one", "two", "two", "app.three", "parts", "part1", "part2", "four", "four", '"Od""d; t"'],
    "new": ["four", "five", "app.four", '"Od""d; t"'],
    "c": ["x", "x", "y", "y", "z", "id", "m", "n", '"N; ""n"'],
    "newcol": ["n", "o", '"N; ""n"', "z", "m"],
    "role": ["prop_reader", "prop_owner", "PUBLIC"],
    "member": ["prop_reader", "prop_owner", "postgres"],
    "name": ["k1", "k1", "k2", "k2", '"K; ""3"', "k4", "k5"],
    "type": [
        "integer", "bigint", "text", "varchar(20)", "numeric(10,2)", "timestamptz", "mood", "score", "integer[]", "jsonb",
        "uuid", 'text COLLATE "C"', "pair", "boolean", "interval", "tstzrange",
    ],
    "default": ["0", "1", "'a'", "now()", "NULL", "twice(2)", "nextval('ticket')", "'sad'", "gen_random_uuid()", "'{}'"],
    "test": [
        "x > 0", "x > 1", "x IN (1, 2)", "y <> ''", "y IN ('a', 'b')", "id > 3 AND x IS NOT NULL", "twice(x) > 4",
        "y LIKE 'a%' OR x < 5",
    ],
    "expr": ["x", "y", "lower(y)", "(x + 1)", "x DESC NULLS LAST", 'y COLLATE "C"', "y text_pattern_ops", "x, y"],
    "maybe": ["", "", " NOT NULL", " DEFAULT <default>", " NOT NULL DEFAULT <default>"],
    "tables": [
        "CREATE TABLE <new> (id integer, x integer, y text)",
        "CREATE TABLE <new> (id integer PRIMARY KEY, <newcol> <type><maybe>, x integer REFERENCES one, CHECK (<test>))",
        "CREATE TABLE <new> (LIKE one INCLUDING ALL)", "CREATE UNLOGGED TABLE <new> (x integer UNIQUE, y text)",
        "CREATE TABLE <new> () INHERITS (one)", "CREATE TABLE <new> OF pair", "DROP TABLE <t>", "DROP TABLE <t> CASCADE",
        "ALTER TABLE <t> RENAME TO five", "ALTER TABLE <t> SET SCHEMA app", "ALTER TABLE <t> SET UNLOGGED",
        "ALTER TABLE heir INHERIT one", "ALTER TABLE heir2 NO INHERIT one", "ALTER TABLE <t> SET LOGGED",
        "ALTER TABLE <t> REPLICA IDENTITY <identity>", "CREATE TABLE <new> AS SELECT * FROM one",
        "ALTER TABLE <t> CLUSTER ON one_x", "ALTER TABLE <t> SET WITHOUT CLUSTER",
    ],
    "identity": ["FULL", "NOTHING", "DEFAULT", "USING INDEX two_pkey", "USING INDEX two_pkey"],
    "columns": [
        "ALTER TABLE <t> ADD COLUMN <newcol> <type><maybe>", "ALTER TABLE <t> ADD COLUMN <newcol> <type><maybe>",
        "ALTER TABLE <t> DROP COLUMN <c>", "ALTER TABLE <t> DROP COLUMN <c> CASCADE",
        "ALTER TABLE <t> ALTER <c> TYPE <type> USING NULL", "ALTER TABLE <t> ALTER <c> TYPE <type>",
        "ALTER TABLE <t> ALTER <c> SET DEFAULT <default>", "ALTER TABLE <t> ALTER <c> DROP DEFAULT",
        "ALTER TABLE <t> ALTER <c> SET NOT NULL", "ALTER TABLE <t> ALTER <c> DROP NOT NULL",
        "ALTER TABLE <t> ADD COLUMN <newcol> integer GENERATED ALWAYS AS (x * <number>) STORED",
        "ALTER TABLE <t> ADD COLUMN <newcol> bigint GENERATED <always> AS IDENTITY (INCREMENT <number>)",
        "ALTER TABLE <t> ALTER <c> ADD GENERATED <always> AS IDENTITY", "ALTER TABLE app.three ALTER g DROP EXPRESSION",
        "ALTER TABLE two ALTER id SET GENERATED <always>", "ALTER TABLE two ALTER id DROP IDENTITY",
        "ALTER TABLE two ALTER id SET INCREMENT <number> SET CYCLE", "ALTER TABLE <t> RENAME <c> TO <newcol>",
        "ALTER TABLE <t> ALTER <c> SET STATISTICS <number>", "ALTER TABLE <t> ALTER y SET STORAGE <storage>",
        "ALTER TABLE <t> ALTER <c> SET (n_distinct = <number>)", "ALTER TABLE <t> ALTER y SET COMPRESSION pglz",
        "ALTER TABLE <t> ALTER <c> RESET (n_distinct)",
    ],
    "always": ["ALWAYS", "BY DEFAULT"],
    "number": ["1", "2", "5", "100"],
    "storage": ["PLAIN", "EXTERNAL", "MAIN", "EXTENDED"],
    "constraints": [
        "ALTER TABLE <t> ADD CONSTRAINT <name> CHECK (<test>)", "ALTER TABLE <t> ADD CHECK (<test>)",
        "ALTER TABLE <t> ADD CONSTRAINT <name> CHECK (<test>) NOT VALID", "ALTER TABLE <t> VALIDATE CONSTRAINT <name>",
        "ALTER TABLE <t> ADD CONSTRAINT <name> UNIQUE (<c>)<deferred>", "ALTER TABLE <t> ADD PRIMARY KEY (<c>)",
        "ALTER TABLE <t> ADD CONSTRAINT <name> FOREIGN KEY (x) REFERENCES one (id)<action><deferred>",
        "ALTER TABLE <t> ADD FOREIGN KEY (x) REFERENCES one<action>", "ALTER TABLE <t> DROP CONSTRAINT <name>",
        "ALTER TABLE two ALTER CONSTRAINT k1 DEFERRABLE INITIALLY DEFERRED",
        "ALTER TABLE <t> ALTER CONSTRAINT two_x_fkey DEFERRABLE", "ALTER TABLE <t> RENAME CONSTRAINT <name> TO k2",
        "ALTER TABLE <t> ADD CONSTRAINT <name> EXCLUDE USING btree (x WITH =) WHERE (<test>)",
        "ALTER TABLE <t> ADD CONSTRAINT <name> CHECK (<test>) NO INHERIT", "ALTER TABLE one DROP CONSTRAINT one_pkey CASCADE",
        "ALTER TABLE two DROP CONSTRAINT two_x_fkey", "ALTER TABLE two ADD CONSTRAINT <name> UNIQUE USING INDEX two_xx",
        "ALTER TABLE <t> ADD CONSTRAINT <name> UNIQUE NULLS NOT DISTINCT (<c>)",
    ],
    "deferred": ["", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"],
    "action": ["", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON UPDATE RESTRICT", " MATCH FULL", " NOT VALID"],
    "indexes": [
        "CREATE INDEX <name> ON <t> (<expr>)", "CREATE UNIQUE INDEX <name> ON <t> (<expr>)", "CREATE INDEX ON <t> (<expr>)",
        "CREATE INDEX <name> ON <t> (<expr>) WHERE <test>", "CREATE INDEX <name> ON <t> USING hash (y)",
        "CREATE UNIQUE INDEX <name> ON <t> (<expr>) INCLUDE (id) WHERE <test>", "CREATE INDEX <name> ON ONLY parts (x)",
        "CREATE UNIQUE INDEX <name> ON <t> (x) NULLS NOT DISTINCT", "CREATE INDEX <name> ON <t> (y) WITH (fillfactor = 70)",
        "DROP INDEX <name>", "DROP INDEX one_x", "ALTER INDEX k2 RENAME TO k6", "ALTER INDEX one_x RENAME TO one_xx",
        "ALTER INDEX one_x SET (fillfactor = <percent>)", "ALTER INDEX k2 ALTER COLUMN 1 SET STATISTICS <number>",
        "CREATE INDEX <name> ON kept (x)", "CREATE UNIQUE INDEX <name> ON kept (id)", "ALTER INDEX parts_x ATTACH PARTITION part1_x",
    ],
    "percent": ["50", "70", "90"],
    "views": [
        "CREATE VIEW <name> AS SELECT <select> FROM one WHERE <test>", "CREATE OR REPLACE VIEW seen AS SELECT id, x FROM two",
        "CREATE OR REPLACE VIEW seen AS SELECT id, x, y FROM two WHERE <test>", "DROP VIEW seen", "DROP VIEW <name>",
        "ALTER VIEW seen SET (security_barrier = true)", "ALTER VIEW seen SET (security_invoker = true)",
        "CREATE OR REPLACE VIEW seen WITH (check_option = local) AS SELECT id, x FROM two WHERE x > 1",
        "ALTER VIEW seen RENAME COLUMN x TO xx", "ALTER VIEW seen ALTER x SET DEFAULT <number>", "ALTER VIEW seen RENAME TO looked",
        "CREATE MATERIALIZED VIEW <name> AS SELECT <select> FROM one", "DROP MATERIALIZED VIEW kept",
        "ALTER MATERIALIZED VIEW kept SET (fillfactor = <percent>)", "ALTER MATERIALIZED VIEW kept RENAME x TO xx",
        "ALTER MATERIALIZED VIEW kept ALTER x SET STATISTICS <number>", "ALTER MATERIALIZED VIEW kept CLUSTER ON kept_id",
    ],
    "select": ["id, x", "id, x + 1 AS x", "count(*) AS n", "y", "DISTINCT y, x", "max(z) AS latest", "row_number() OVER (ORDER BY x) AS r"],
    "functions": [
        "CREATE OR REPLACE FUNCTION twice(integer) RETURNS integer LANGUAGE sql <volatile> AS 'SELECT $1 * <number>'",
        "CREATE OR REPLACE FUNCTION <name>(a integer, b text DEFAULT 'q') RETURNS text LANGUAGE sql <volatile> RETURN b || a",
        "CREATE FUNCTION <name>(<type>) RETURNS <type> LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", "DROP FUNCTION <name>",
        "CREATE PROCEDURE <name>(a integer) LANGUAGE sql AS 'SELECT <number>'", "ALTER FUNCTION twice <volatile>",
        "ALTER FUNCTION twice COST <number>", "ALTER FUNCTION twice SECURITY DEFINER", "ALTER FUNCTION twice STRICT",
        "ALTER FUNCTION twice SET work_mem = '<number>MB'", "ALTER FUNCTION twice RESET ALL", "ALTER FUNCTION twice LEAKPROOF",
        "ALTER FUNCTION twice PARALLEL SAFE", "ALTER FUNCTION twice RENAME TO thrice", "ALTER FUNCTION twice SET SCHEMA app",
        "CREATE FUNCTION <name>() RETURNS TABLE (a integer, b text) LANGUAGE sql ROWS <number> AS 'SELECT 1, ''b'''",
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.x := <number>; RETURN NEW; END'",
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN  RETURN NEW; END'",
        "CREATE AGGREGATE <name>(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '<number>')", "DROP ROUTINE <name>",
        "CREATE OPERATOR app.<op> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4pl)",
        "CREATE OR REPLACE FUNCTION twice(integer, VARIADIC text[] = '{}') RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE CAST (integer AS pair) WITH INOUT", "DROP CAST (boolean AS pair)",
    ],
    "op": ["|+|", "@@@"],
    "volatile": ["VOLATILE", "STABLE", "IMMUTABLE"],
    "triggers": [
        "CREATE TRIGGER <name> <timing> ON <t> FOR EACH ROW EXECUTE FUNCTION touch()",
        "CREATE TRIGGER <name> BEFORE UPDATE OF x ON <t> FOR EACH ROW WHEN (NEW.x > <number>) EXECUTE FUNCTION touch('<number>')",
        "CREATE OR REPLACE TRIGGER touched <timing> ON one FOR EACH <each> EXECUTE FUNCTION touch()",
        "CREATE CONSTRAINT TRIGGER <name> AFTER INSERT ON <t> <defer> FOR EACH ROW EXECUTE FUNCTION touch()",
        "CREATE TRIGGER <name> AFTER UPDATE ON <t> REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION touch()",
        "ALTER TABLE one <able> TRIGGER touched", "ALTER TABLE <t> <able> TRIGGER <name>", "DROP TRIGGER touched ON one",
        "ALTER TABLE <t> <able> TRIGGER USER", "ALTER TRIGGER touched ON one RENAME TO stamped", "DROP TRIGGER <name> ON <t>",
        "ALTER EVENT TRIGGER watching <able>", "DROP EVENT TRIGGER watching", "ALTER EVENT TRIGGER watching RENAME TO looking",
        "CREATE EVENT TRIGGER <name> ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION watch()",
    ],
    "timing": ["BEFORE INSERT", "AFTER DELETE", "AFTER INSERT OR UPDATE", "BEFORE UPDATE"],
    "each": ["ROW", "STATEMENT"],
    "defer": ["", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"],
    "able": ["ENABLE", "DISABLE", "ENABLE REPLICA", "ENABLE ALWAYS"],
    "policies": [
        "ALTER TABLE <t> ENABLE ROW LEVEL SECURITY", "ALTER TABLE <t> DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE <t> FORCE ROW LEVEL SECURITY", "ALTER TABLE <t> NO FORCE ROW LEVEL SECURITY",
        "CREATE POLICY <name> ON <t> AS <permissive> FOR <command> TO <role> USING (<test>)", "DROP POLICY own ON one",
        "CREATE POLICY <name> ON <t> FOR INSERT WITH CHECK (<test>)", "ALTER POLICY own ON one TO <role>",
        "ALTER POLICY own ON one USING (<test>)", "ALTER POLICY own ON one RENAME TO owned",
        "ALTER POLICY own ON one WITH CHECK (<test>)",
    ],
    "permissive": ["PERMISSIVE", "RESTRICTIVE"],
    "command": ["ALL", "SELECT", "UPDATE", "DELETE"],
    "grants": [
        "GRANT <right> ON <t> TO <role>", "REVOKE <right> ON <t> FROM <role>", "GRANT <right> (x) ON <t> TO <role>",
        "REVOKE <right> (x) ON <t> FROM <role>", "GRANT SELECT ON <t> TO prop_reader WITH GRANT OPTION",
        "GRANT EXECUTE ON FUNCTION twice TO <role>", "REVOKE ALL ON FUNCTION twice FROM <role>",
        "GRANT USAGE ON SCHEMA app TO <role>", "REVOKE ALL ON SCHEMA public FROM PUBLIC", "GRANT CREATE ON SCHEMA public TO <role>",
        "GRANT USAGE ON SEQUENCE ticket TO <role>", "GRANT USAGE ON TYPE mood TO <role>", "REVOKE ALL ON TYPE mood FROM PUBLIC",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO <role>", "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM <role>",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT <right> ON TABLES TO <role>", "GRANT ALL ON <t> TO <role>",
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC", "GRANT USAGE ON FOREIGN SERVER far TO <role>",
        "ALTER DEFAULT PRIVILEGES FOR ROLE prop_owner GRANT USAGE ON <kinds> TO <role>", "REVOKE ALL ON <t> FROM <role>",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE <right> ON TABLES FROM <role>",
    ],
    "right": ["SELECT", "INSERT", "UPDATE", "REFERENCES"],
    "kinds": ["SEQUENCES", "TYPES", "SCHEMAS"],
    "comments": [
        "COMMENT ON TABLE <t> IS <text>", "COMMENT ON COLUMN <t>.x IS <text>", "COMMENT ON INDEX one_x IS <text>",
        "COMMENT ON FUNCTION twice IS <text>", "COMMENT ON TYPE mood IS <text>", "COMMENT ON SCHEMA app IS <text>",
        "COMMENT ON CONSTRAINT one_pkey ON one IS <text>", "COMMENT ON TRIGGER touched ON one IS <text>",
        "COMMENT ON VIEW seen IS <text>", "COMMENT ON SEQUENCE ticket IS <text>", "COMMENT ON POLICY own ON one IS <text>",
        "COMMENT ON RULE quiet ON two IS <text>", "COMMENT ON STATISTICS stats IS <text>", "COMMENT ON DOMAIN score IS <text>",
        "COMMENT ON COLUMN seen.x IS <text>", "COMMENT ON PUBLICATION feed IS <text>", "COMMENT ON EVENT TRIGGER watching IS <text>",
        "COMMENT ON SERVER far IS <text>", "COMMENT ON CONSTRAINT score_check ON DOMAIN score IS <text>", "COMMENT ON COLUMN pair.a IS <text>",
    ],
    "text": ["NULL", "'a'", "'b'", "'it''s \u00e9 \u202e'", "E'two\\nlines'"],
    "types": [
        "ALTER TYPE mood ADD VALUE 'new'", "ALTER TYPE mood ADD VALUE 'early' BEFORE 'ok'", "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
        "ALTER TYPE mood RENAME TO temper", "CREATE TYPE <name> AS ENUM ('a', 'b')", "DROP TYPE <name>", "ALTER TYPE mood SET SCHEMA app",
        "ALTER TYPE pair ADD ATTRIBUTE c <type>", "ALTER TYPE pair DROP ATTRIBUTE b", "ALTER TYPE pair RENAME ATTRIBUTE a TO aa",
        "ALTER TYPE pair ALTER ATTRIBUTE b TYPE <type>", "CREATE TYPE <name> AS (q <type>)", "CREATE TYPE <name> AS RANGE (SUBTYPE = integer)",
        "CREATE DOMAIN <name> AS <type> CHECK (VALUE IS NOT NULL)", "ALTER DOMAIN score SET DEFAULT <number>",
        "ALTER DOMAIN score DROP DEFAULT", "ALTER DOMAIN score SET NOT NULL", "ALTER DOMAIN score DROP NOT NULL",
        "ALTER DOMAIN score ADD CONSTRAINT <name> CHECK (VALUE < <number>)", "ALTER DOMAIN score DROP CONSTRAINT score_check",
        "ALTER DOMAIN score ADD CONSTRAINT <name> CHECK (VALUE < 999) NOT VALID", "ALTER DOMAIN score VALIDATE CONSTRAINT <name>",
        "ALTER DOMAIN score RENAME TO points", "DROP DOMAIN score CASCADE", "DROP TYPE mood CASCADE",
    ],
    "sequences": [
        "CREATE SEQUENCE <name>", "CREATE SEQUENCE <name> AS smallint INCREMENT <number> MAXVALUE 200", "ALTER SEQUENCE ticket INCREMENT <number>",
        "ALTER SEQUENCE ticket MINVALUE -<number>", "ALTER SEQUENCE ticket MAXVALUE <number>000", "ALTER SEQUENCE ticket CACHE <number>",
        "ALTER SEQUENCE ticket CYCLE", "ALTER SEQUENCE ticket NO CYCLE", "ALTER SEQUENCE ticket AS integer", "ALTER SEQUENCE ticket START <number>",
        "ALTER SEQUENCE ticket OWNED BY one.<c>", "ALTER SEQUENCE ticket OWNED BY NONE", "ALTER SEQUENCE ticket RENAME TO number",
        "DROP SEQUENCE ticket CASCADE", "DROP SEQUENCE <name>", "ALTER SEQUENCE ticket SET UNLOGGED", "ALTER SEQUENCE app.three_id_seq OWNED BY NONE",
    ],
    "owners": [
        "ALTER TABLE <t> OWNER TO <member>", "ALTER FUNCTION twice OWNER TO <member>", "ALTER TYPE mood OWNER TO <member>",
        "ALTER SCHEMA app OWNER TO <member>", "ALTER VIEW seen OWNER TO <member>", "ALTER SEQUENCE ticket OWNER TO <member>",
        "ALTER MATERIALIZED VIEW kept OWNER TO <member>", "ALTER DOMAIN score OWNER TO <member>", "ALTER STATISTICS stats OWNER TO <member>",
        "ALTER PUBLICATION feed OWNER TO <member>", "ALTER SERVER far OWNER TO <member>",
    ],
    "options": [
        "ALTER TABLE <t> SET (fillfactor = <percent>)", "ALTER TABLE <t> RESET (fillfactor)", "ALTER TABLE <t> SET (autovacuum_enabled = false)",
        "ALTER TABLE <t> SET (toast.autovacuum_enabled = false)", "ALTER TABLE <t> SET (parallel_workers = <number>)",
        "ALTER TABLE <t> SET ACCESS METHOD heap",
    ],
    "partitions": [
        "ALTER TABLE parts ATTACH PARTITION part2 FOR VALUES FROM (10) TO (<number>)", "ALTER TABLE parts ATTACH PARTITION part2 DEFAULT",
        "ALTER TABLE parts DETACH PARTITION part1", "ALTER TABLE parts DETACH PARTITION part3", "CREATE TABLE <new> PARTITION OF parts DEFAULT",
        "CREATE TABLE <new> PARTITION OF parts FOR VALUES FROM (<number>0) TO (999)", "ALTER TABLE parts ATTACH PARTITION part2 FOR VALUES FROM (10) TO (50)",
        "CREATE TABLE <new> PARTITION OF parts FOR VALUES FROM (20) TO (99) PARTITION BY LIST (x)", "CREATE TABLE <new> (x integer) PARTITION BY HASH (x)",
    ],
    "statistics": [
        "CREATE STATISTICS <name> ON x, y FROM <t>", "CREATE STATISTICS <name> (mcv) ON x, y FROM <t>", "CREATE STATISTICS <name> ON lower(y) FROM <t>",
        "ALTER STATISTICS stats SET STATISTICS <number>", "DROP STATISTICS stats", "ALTER STATISTICS stats RENAME TO counted",
    ],
    "publications": [
        "CREATE PUBLICATION <name> FOR TABLE <t>", "CREATE PUBLICATION <name> FOR ALL TABLES", "ALTER PUBLICATION feed ADD TABLE <t>",
        "ALTER PUBLICATION feed SET TABLE <t> WHERE (<test>)", "ALTER PUBLICATION feed SET TABLE one (id, x)", "ALTER PUBLICATION feed DROP TABLE <t>",
        "ALTER PUBLICATION feed SET (publish = 'insert')", "ALTER PUBLICATION feed ADD TABLES IN SCHEMA app", "DROP PUBLICATION feed",
        "ALTER PUBLICATION feed SET (publish_via_partition_root = true)",
    ],
    "rules": [
        "CREATE RULE <name> AS ON UPDATE TO <t> WHERE OLD.x > <number> DO INSTEAD NOTHING", "DROP RULE quiet ON two", "ALTER TABLE two <able> RULE quiet",
        "CREATE OR REPLACE RULE quiet AS ON DELETE TO two DO ALSO SELECT <number>", "ALTER RULE quiet ON two RENAME TO silent",
    ],
    "others": [
        "CREATE SCHEMA <name>", "DROP SCHEMA <name> CASCADE", "ALTER SCHEMA app RENAME TO app2", "CREATE EXTENSION <extension>", "DROP EXTENSION <extension> CASCADE",
        "CREATE COLLATION <name> FROM \"C\"", "ALTER SERVER far OPTIONS (ADD host 'h<number>')", "ALTER FOREIGN TABLE remote ADD n <type>",
        "ALTER FOREIGN TABLE remote OPTIONS (ADD k '<number>')", "ALTER FOREIGN TABLE remote ALTER x OPTIONS (ADD k '<number>')",
        "CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'u<number>')", "CREATE TEXT SEARCH CONFIGURATION <name> (COPY = simple)",
        "CREATE TEXT SEARCH DICTIONARY <name> (TEMPLATE = simple, ACCEPT = false)", "ALTER SERVER far VERSION '<number>'",
        "ALTER TEXT SEARCH CONFIGURATION <name> DROP MAPPING FOR word", "DROP SERVER far CASCADE", "CREATE CONVERSION <name> FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
    ],
    "extension": ["citext", "hstore", "pg_trgm"],
}  # fmt: skip

PART = re.compile(r"<(\w+)>")


@st.composite
def statements(draw: st.DrawFn) -> str:
    """One statement of the grammar."""
    return expanded(draw, "statement")


def expanded(draw: st.DrawFn, rule: str) -> str:
    """One alternative of a rule, with the rules in it expanded."""
    return PART.sub(lambda part: expanded(draw, part[1]), draw(st.sampled_from(GRAMMAR[rule])))
