-- Collations. Their version follows the server's libraries and their encoding the database, not a migration.
-- Seldom: pg_collation WHERE collnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'collation', s.name || '.' || quote_ident(c.collname),
       jsonb_strip_nulls(to_jsonb(c) - ARRAY['oid', 'collname', 'collnamespace', 'collowner', 'collversion', 'collencoding'])::text,
       c.collowner::regrole::text, NULL
  FROM pg_collation c JOIN spaces s ON s.oid = c.collnamespace
 WHERE (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
