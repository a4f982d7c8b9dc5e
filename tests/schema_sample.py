"""A database with one of everything, and single changes to it with what the difference must say."""

from __future__ import annotations

ROLES = ("schema_test_reader", "schema_test_owner")

SAMPLE = r"""
CREATE SCHEMA app;
CREATE TYPE plan_tier AS ENUM ('free', 'pro', 'team');
CREATE TYPE span AS RANGE (subtype = float8);
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN email AS text CONSTRAINT email_check CHECK (VALUE ~ '@');
CREATE COLLATION app.bytes FROM "C";
CREATE TABLE profiles (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email email NOT NULL,
  name varchar(40) DEFAULT 'nobody',
  age integer CHECK (age > 0),
  born date CONSTRAINT born_late CHECK (born > '1900-01-01'),
  shout text GENERATED ALWAYS AS (upper(name)) STORED,
  tier plan_tier NOT NULL DEFAULT 'free',
  state varchar(10) CHECK (state IN ('on', 'off')),
  features text
);
CREATE INDEX profiles_email_idx ON profiles (email);
CREATE UNIQUE INDEX ON profiles (lower(name)) WHERE age > 3;
CREATE TABLE subscriptions (
  id serial PRIMARY KEY,
  user_id bigint NOT NULL REFERENCES profiles ON DELETE CASCADE,
  during span,
  note text
) WITH (fillfactor = 80);
CREATE INDEX idx_subscriptions_user ON subscriptions (user_id);
COMMENT ON TABLE subscriptions IS 'who pays';
COMMENT ON COLUMN subscriptions.note IS 'by hand';
CREATE STATISTICS sub_stats (dependencies) ON user_id, note FROM subscriptions;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.note := 'it''s  new'; -- why
  RETURN NEW;
END $$;
CREATE FUNCTION app.add(a integer, b integer DEFAULT 2) RETURNS integer LANGUAGE sql IMMUTABLE RETURN a + b;
CREATE PROCEDURE app.tidy() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE app.total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE OPERATOR app.|+| (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4pl);
CREATE FUNCTION app.to_pair(integer) RETURNS pair LANGUAGE sql AS 'SELECT ROW($1, '''')::public.pair';
CREATE CAST (integer AS pair) WITH FUNCTION app.to_pair(integer);
CREATE OPERATOR CLASS app.odd_ops FOR TYPE integer USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =,
  OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(integer, integer);
CREATE TRIGGER touch_it BEFORE UPDATE ON subscriptions FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE quiet AS ON DELETE TO subscriptions DO INSTEAD NOTHING;
ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON profiles FOR SELECT TO schema_test_reader USING (age > 1);
CREATE VIEW payers AS SELECT p.id, p.name FROM profiles p JOIN subscriptions s ON s.user_id = p.id;
CREATE MATERIALIZED VIEW counts AS SELECT tier, count(*) AS n FROM profiles GROUP BY tier;
CREATE UNIQUE INDEX counts_tier ON counts (tier);
CREATE SEQUENCE app.ticket INCREMENT BY 5;
CREATE TABLE events (id bigint, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX ON events (id);
CREATE TABLE animal (name text); CREATE TABLE dog (bark text) INHERITS (animal);
CREATE FUNCTION app.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION app.watch();
CREATE TEXT SEARCH CONFIGURATION app.words (COPY = pg_catalog.simple);
CREATE TEXT SEARCH DICTIONARY app.dict (TEMPLATE = pg_catalog.simple);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere OPTIONS (host 'a');
CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'hunter2');
CREATE FOREIGN TABLE remote (a integer) SERVER far OPTIONS (t 'x');
CREATE PUBLICATION feed FOR TABLE profiles, events;
CREATE CONVERSION app.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
GRANT SELECT, INSERT ON profiles TO schema_test_reader;
GRANT UPDATE (name) ON profiles TO schema_test_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO schema_test_reader;
"""

# What is known to change its form on the way through pg_dump.
EXOTIC = r"""
CREATE TABLE ev (id bigint, at date, kind varchar(10) NOT NULL CHECK (kind IN ('a','b','it''s, (x]')), PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE ev2 (at date not null, id bigint not null, gone int, kind varchar(10) not null constraint ev_kind_check check (kind IN ('a','b','it''s, (x]')));
ALTER TABLE ev2 DROP COLUMN gone; ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE refs (id int, at date, FOREIGN KEY (id, at) REFERENCES ev) PARTITION BY HASH (id);
CREATE TABLE refs1 PARTITION OF refs FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE VIEW vin AS SELECT * FROM ev WHERE kind IN ('a', 'b') AND kind NOT IN ('z','y') OR kind LIKE ANY (ARRAY['a','c']);
CREATE POLICY p1 ON ev USING (kind IN ('a','b'));
CREATE INDEX ON ev (kind) WHERE kind IN ('a','b');
CREATE UNIQUE INDEX exprs ON ev1 ((id+1), kind COLLATE "C" text_pattern_ops DESC NULLS LAST);
CREATE TABLE "We""ird.na
me é" ("col.ä '" int CHECK ("col.ä '" > 0), "select" text UNIQUE, toolong_toolong_toolong_toolong_toolong_toolong_toolong_tool63 int unique);
COMMENT ON COLUMN "We""ird.na
me é"."select" IS 'x';
CREATE TABLE par (a int not null, b int default 1); CREATE TABLE chi (a int not null, c int) INHERITS (par);
CREATE TRIGGER tp AFTER INSERT ON ev FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION tab(OUT a int, OUT b text) RETURNS SETOF record LANGUAGE sql AS 'select 1, ''a''::text';
CREATE FUNCTION variad(VARIADIC a text[] DEFAULT ARRAY['x']) RETURNS int LANGUAGE sql SET search_path TO 'app, x', public AS 'select 1';
GRANT SELECT ON ev TO schema_test_reader WITH GRANT OPTION; REVOKE ALL ON FUNCTION tab() FROM PUBLIC;
CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION hstore;
CREATE TABLE ci (a citext, h hstore, unique (a)); CREATE EXTENSION pg_trgm; CREATE INDEX ON ci USING gin (h);
CREATE VIEW nested AS SELECT x.*, row_number() over (partition by x.a) FROM ci x WHERE EXISTS (SELECT 1 FROM ev WHERE ev.kind = x.a::text);
CREATE VIEW insview WITH (check_option=local) AS SELECT id, name FROM profiles WHERE id > 3;
CREATE RULE ir AS ON INSERT TO insview DO INSTEAD INSERT INTO profiles (name, email) VALUES (new.name, 'a@b');
ALTER VIEW insview ALTER name SET DEFAULT 'k';
CREATE TABLE ts (t timestamptz default '2025-01-01 00:00+02', i interval default '1 day 2 hours', m money default 3.5, f float8 default 0.1, by bytea default '\x00ff');
ALTER TABLE ts ADD CONSTRAINT dd CHECK (i > '1 day') NO INHERIT;
CREATE TABLE mats AS SELECT 1 AS a;
"""

# statement; kind, object, change, severity, sentence of the one change that must be found
Drift = tuple[str, str, str, str, str, str]
DRIFTS: list[Drift] = [
    (sql, kind, name, change, "harmful", message)
    for sql, kind, name, change, message in [
        ("DROP INDEX idx_subscriptions_user", "index", "public.idx_subscriptions_user", "missing",
         "index `idx_subscriptions_user` is missing"),
        ("CREATE INDEX more ON profiles (age)", "index", "public.more", "added", "index `more` is additional"),
        ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'profiles_email_idx'::regclass", "index",
         "public.profiles_email_idx", "different", "index `profiles_email_idx` has validity `not valid`, had none"),
        ("CLUSTER profiles USING profiles_email_idx", "index", "public.profiles_email_idx", "different",
         "index `profiles_email_idx` has clustering `on`, had none"),
        ("ALTER TABLE profiles ALTER tier DROP NOT NULL", "column", "public.profiles.tier", "different",
         "column `profiles.tier` is nullable, was NOT NULL"),
        ("ALTER TABLE profiles ALTER features SET NOT NULL", "column", "public.profiles.features", "different",
         "column `profiles.features` is NOT NULL, was nullable"),
        ("ALTER TABLE profiles ALTER name SET DEFAULT 'x'", "column", "public.profiles.name", "different",
         "column `profiles.name` has default `'x'::character varying`, had `'nobody'::character varying`"),
        ("ALTER TABLE profiles ALTER name DROP DEFAULT", "column", "public.profiles.name", "different",
         "column `profiles.name` has no default, had `'nobody'::character varying`"),
        ("ALTER TABLE profiles ALTER features TYPE varchar", "column", "public.profiles.features", "different",
         "column `profiles.features` is `character varying`, was `text`"),
        ('ALTER TABLE profiles ALTER features TYPE text COLLATE "C"', "column", "public.profiles.features", "different",
         'column `profiles.features` has collation `"C"`, had none'),
        ("ALTER TABLE profiles ALTER features SET STORAGE EXTERNAL", "column", "public.profiles.features", "different",
         "column `profiles.features` has storage `EXTERNAL`, had none"),
        ("ALTER TABLE profiles ALTER features SET STATISTICS 500", "column", "public.profiles.features", "different",
         "column `profiles.features` has statistics `500`, had none"),
        ("ALTER TABLE profiles ALTER features SET COMPRESSION pglz", "column", "public.profiles.features", "different",
         "column `profiles.features` has compression `pglz`, had none"),
        ("ALTER TABLE profiles ALTER features SET (n_distinct = 5)", "column", "public.profiles.features", "different",
         "column `profiles.features` has options `n_distinct=5`, had none"),
        ("ALTER TABLE profiles ALTER shout DROP EXPRESSION", "column", "public.profiles.shout", "different",
         "column `profiles.shout` has no generation, had `upper((name)::text) STORED`"),
        ("ALTER TABLE profiles ALTER id SET GENERATED BY DEFAULT", "column", "public.profiles.id", "different",
         "column `profiles.id` has identity `BY DEFAULT`, had `ALWAYS`"),
        ("ALTER TABLE profiles DROP COLUMN features", "column", "public.profiles.features", "missing",
         "column `profiles.features` is missing"),
        ("ALTER TABLE subscriptions DROP CONSTRAINT subscriptions_user_id_fkey", "constraint",
         "public.subscriptions.subscriptions_user_id_fkey", "missing",
         "foreign key `subscriptions.subscriptions_user_id_fkey` is missing"),
        ("ALTER TABLE profiles DROP CONSTRAINT born_late, ADD CONSTRAINT born_late CHECK (born > '1900-01-01') NOT VALID",
         "constraint", "public.profiles.born_late", "different",
         "check constraint `profiles.born_late` has definition `CHECK ((born > '1900-01-01'::date)) NOT VALID`, "
         "had `CHECK ((born > '1900-01-01'::date))`"),
        ("ALTER TABLE subscriptions DISABLE TRIGGER touch_it", "trigger", "public.subscriptions.touch_it", "different",
         "trigger `subscriptions.touch_it` has firing `disabled`, had none"),
        ("DROP TRIGGER touch_it ON subscriptions", "trigger", "public.subscriptions.touch_it", "missing",
         "trigger `subscriptions.touch_it` is missing"),
        ("DROP RULE quiet ON subscriptions", "rule", "public.subscriptions.quiet", "missing",
         "rule `subscriptions.quiet` is missing"),
        ("ALTER TYPE plan_tier ADD VALUE 'gold'", "type", "public.plan_tier", "different",
         "type `plan_tier` has labels `'free', 'pro', 'team', 'gold'`, had `'free', 'pro', 'team'`"),
        ("ALTER TYPE plan_tier ADD VALUE 'gold' BEFORE 'pro'", "type", "public.plan_tier", "different",
         "type `plan_tier` has labels `'free', 'gold', 'pro', 'team'`, had `'free', 'pro', 'team'`"),
        ("ALTER TYPE plan_tier RENAME VALUE 'pro' TO 'p'; ALTER TYPE plan_tier RENAME VALUE 'team' TO 'pro'; "
         "ALTER TYPE plan_tier RENAME VALUE 'p' TO 'team'", "type", "public.plan_tier", "different",
         "type `plan_tier` has labels `'free', 'team', 'pro'`, had `'free', 'pro', 'team'`"),
        ("ALTER TABLE profiles DROP shout; ALTER TABLE profiles ADD shout text GENERATED ALWAYS AS (lower(name)) STORED",
         "column", "public.profiles.shout", "different", "column `profiles.shout` has generation "
         "`lower((name)::text) STORED`, had `upper((name)::text) STORED`"),
        ("DROP MATERIALIZED VIEW counts; CREATE MATERIALIZED VIEW counts AS SELECT tier, count(age) AS n FROM profiles "
         "GROUP BY tier", "materialized view", "public.counts", "different",
         "materialized view `counts` has another definition"),
        ("DROP TYPE span CASCADE; CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi)", "type",
         "public.span", "different", "type `span` has range `double precision pg_catalog.float8_ops - float8mi "
         "span_multirange`, had `double precision pg_catalog.float8_ops - - span_multirange`"),
        ("ALTER TABLE events DETACH PARTITION events_2025; ALTER TABLE events ATTACH PARTITION events_2025 "
         "FOR VALUES FROM ('2025-01-01') TO ('2025-07-01')", "table", "public.events_2025", "different",
         "table `events_2025` has partition bound `FOR VALUES FROM ('2025-01-01') TO ('2025-07-01')`, "
         "had `FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')`"),
        ("ALTER PUBLICATION feed SET TABLE profiles WHERE (id > 3), events", "published table", "feed public.profiles",
         "different", "published table `feed profiles` has row filter `(id > 3)`, had none"),
        ("ALTER PUBLICATION feed SET TABLE profiles (id, name), events", "published table", "feed public.profiles",
         "different", "published table `feed profiles` has columns `id, name`, had none"),
        ("ALTER PUBLICATION feed ADD TABLES IN SCHEMA app", "published schema", "feed app", "added",
         "published schema `feed app` is additional"),
        ("CREATE SUBSCRIPTION far CONNECTION 'dbname=x password=hunter2' PUBLICATION p WITH (connect = false)",
         "subscription", "far", "added", "subscription `far` is additional"),
        ("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "privileges", "language plpgsql", "added",
         "privileges on language `plpgsql` are no longer the default"),
        ("ALTER ROLE schema_test_reader SET work_mem = 99", "settings", "role schema_test_reader work_mem", "added",
         "setting `role schema_test_reader work_mem` is additional"),
        ("DROP FOREIGN TABLE remote", "foreign table", "public.remote", "missing", "foreign table `remote` is missing"),
        ("ALTER TABLE profiles ALTER features SET NOT NULL, ALTER features TYPE varchar", "column",
         "public.profiles.features", "different",
         "column `profiles.features` is NOT NULL, was nullable; is `character varying`, was `text`"),
        ("CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'", "function",
         "public.touch()", "different", "function `touch()` has another body"),
        ("ALTER FUNCTION touch() SECURITY DEFINER", "function", "public.touch()", "different",
         "function `touch()` has security `DEFINER`, had `INVOKER`"),
        ("DROP PROCEDURE app.tidy()", "procedure", "app.tidy()", "missing", "procedure `app.tidy()` is missing"),
        ("CREATE OR REPLACE AGGREGATE app.total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '7')", "aggregate",
         "app.total(integer)", "different", "aggregate `app.total(integer)` has another definition"),
        ("DROP OPERATOR app.|+| (integer, integer)", "operator", "app.|+|(integer, integer)", "missing",
         "operator `app.|+|(integer, integer)` is missing"),
        ("ALTER OPERATOR FAMILY app.odd_ops USING btree ADD FUNCTION 2 (integer, integer) btint4sortsupport(internal)",
         "operator family", "app.odd_ops USING btree", "different",
         "operator family `app.odd_ops USING btree` has other functions"),
        ("DROP CAST (integer AS pair)", "cast", "integer AS public.pair", "missing",
         "cast `integer AS pair` is missing"),
        ("COMMENT ON TABLE subscriptions IS NULL", "comment", "table public.subscriptions", "missing",
         "comment on table `subscriptions` is missing"),
        ("COMMENT ON COLUMN subscriptions.note IS 'new'", "comment", "table column public.subscriptions.note", "different",
         "comment on column `subscriptions.note` has another text"),
        ("ALTER TABLE profiles DISABLE ROW LEVEL SECURITY", "table", "public.profiles", "different",
         "table `profiles` has no row security, had `enabled`"),
        ("DROP POLICY own ON profiles", "policy", "public.profiles.own", "missing", "policy `profiles.own` is missing"),
        ("ALTER POLICY own ON profiles USING (age > 2)", "policy", "public.profiles.own", "different",
         "policy `profiles.own` has USING expression `(age > 2)`, had `(age > 1)`"),
        ("ALTER SCHEMA app OWNER TO schema_test_owner", "owner", "schema app", "different",
         "owner of schema `app` is `schema_test_owner`, was `postgres`"),
        ("REVOKE SELECT ON profiles FROM schema_test_reader", "privileges", "table public.profiles", "different",
         "privileges on table `profiles` differ: missing `SELECT` for `schema_test_reader`"),
        ("REVOKE UPDATE (name) ON profiles FROM schema_test_reader", "privileges", "column public.profiles.name", "missing",
         "privileges on column `profiles.name` differ: missing `UPDATE` for `schema_test_reader`"),
        ("REVOKE EXECUTE ON FUNCTION touch() FROM PUBLIC", "privileges", "function public.touch()", "different",
         "privileges on function `touch()` differ: missing `EXECUTE` for everybody"),
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM schema_test_reader", "default privileges",
         "on tables of postgres in app", "missing", "default privileges `on tables of postgres in app` are missing"),
        ("ALTER SEQUENCE app.ticket INCREMENT BY 6", "sequence", "app.ticket", "different",
         "sequence `app.ticket` has increment `6`, had `5`"),
        ("ALTER SEQUENCE subscriptions_id_seq OWNED BY NONE", "sequence", "public.subscriptions_id_seq", "different",
         "sequence `subscriptions_id_seq` has no owning column, had `subscriptions.id`; has no table, had `subscriptions`"),
        ("CREATE OR REPLACE VIEW payers AS SELECT p.id, p.name FROM profiles p", "view", "public.payers", "different",
         "view `payers` has another definition"),
        ("ALTER VIEW payers SET (security_barrier)", "view", "public.payers", "different",
         "view `payers` has options `security_barrier=true`, had none"),
        ("ALTER TABLE subscriptions SET (fillfactor = 70)", "table", "public.subscriptions", "different",
         "table `subscriptions` has options `fillfactor=70`, had `fillfactor=80`"),
        ("ALTER TABLE animal SET UNLOGGED", "table", "public.animal", "different",
         "table `animal` has persistence `unlogged`, had none"),
        ("ALTER TABLE dog NO INHERIT animal", "table", "public.dog", "different",
         "table `dog` has no parents, had `animal`"),
        ("ALTER DOMAIN email DROP CONSTRAINT email_check", "domain constraint", "public.email.email_check", "missing",
         "domain constraint `email.email_check` is missing"),
        ("ALTER DOMAIN email SET DEFAULT 'a@b'", "domain", "public.email", "different",
         "domain `email` has default `'a@b'::text`, had none"),
        ("ALTER TYPE pair ADD ATTRIBUTE c integer", "type", "public.pair", "different",
         "type `pair` has attributes `a integer, b text, c integer`, had `a integer, b text`"),
        ("ALTER PUBLICATION feed DROP TABLE profiles", "published table", "feed public.profiles", "missing",
         "published table `feed profiles` is missing"),
        ("ALTER PUBLICATION feed SET (publish = 'insert')", "publication", "feed", "different",
         "publication `feed` has pubdelete `false`, had `true`; has pubtruncate `false`, had `true`; "
         "has pubupdate `false`, had `true`"),
        ("DROP STATISTICS sub_stats", "statistics", "public.sub_stats", "missing", "statistics `sub_stats` is missing"),
        ("ALTER TEXT SEARCH CONFIGURATION app.words DROP MAPPING FOR word", "text search configuration", "app.words",
         "different", "text search configuration `app.words` has another mapping"),
        ("ALTER TEXT SEARCH DICTIONARY app.dict (accept = false)", "text search dictionary", "app.dict", "different",
         "text search dictionary `app.dict` has options `accept = 'false'`, had none"),
        ("ALTER EVENT TRIGGER watching DISABLE", "event trigger", "watching", "different",
         "event trigger `watching` has firing `disabled`, had none"),
        ("ALTER SERVER far OPTIONS (SET host 'b')", "foreign server", "far", "different",
         "foreign server `far` has options `host=b`, had `host=a`"),
        ("ALTER USER MAPPING FOR PUBLIC SERVER far OPTIONS (SET password 'geheim')", "user mapping", "public on far",
         "different", "user mapping `public on far` has other options"),
        ("DROP FOREIGN DATA WRAPPER nowhere CASCADE", "foreign data wrapper", "nowhere", "missing",
         "foreign data wrapper `nowhere` is missing"),
        ("DROP CONVERSION app.conv", "conversion", "app.conv", "missing", "conversion `app.conv` is missing"),
        ("DROP COLLATION app.bytes", "collation", "app.bytes", "missing", "collation `app.bytes` is missing"),
        ("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 77', current_database()); END $$", "settings",
         "database work_mem", "added", "setting `database work_mem` is additional"),
        ("DROP EXTENSION plpgsql CASCADE", "extension", "plpgsql", "missing", "extension `plpgsql` is missing"),
        ("ALTER TABLE subscriptions DISABLE TRIGGER ALL", "constraint", "public.subscriptions.subscriptions_user_id_fkey",
         "different", "foreign key `subscriptions.subscriptions_user_id_fkey` has triggers `not as created`, had none"),
        ("CREATE SCHEMA more", "schema", "more", "added", "schema `more` is additional"),
        ("ALTER TABLE profiles REPLICA IDENTITY FULL", "table", "public.profiles", "different",
         "table `profiles` has replica identity `full`, had none"),
        ("ALTER TABLE profiles RENAME CONSTRAINT born_late TO born_later", "constraint", "public.profiles.born_late",
         "missing", "check constraint `profiles.born_late` is missing"),
    ]
]  # fmt: skip
