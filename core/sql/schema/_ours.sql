-- Which objects are the users' own. All other queries are joined to this one by UNION ALL: one statement sees one
-- state of the catalogs at every isolation level. Each gives (kind, identity, facts, owner, privileges).
-- What an extension brought is told by the extension's version alone.
WITH spaces AS MATERIALIZED (
  SELECT oid, quote_ident(nspname) AS name
    FROM pg_namespace
   WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'rollback_bot', 'rollback_rehearsal')
     AND nspname !~ '^pg_(toast|temp)'
), members AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), relations AS MATERIALIZED (
  SELECT c.oid, c.relkind, c.relowner, s.name || '.' || quote_ident(c.relname) AS name
    FROM pg_class c
    JOIN spaces s ON s.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
     AND (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
)
SELECT NULL::text AS kind, NULL::text AS identity, NULL::text AS facts, NULL::text AS owner, NULL::text[] AS privileges WHERE false
