-- Domains; their CHECK constraints are told one by one.
-- Seldom: pg_type WHERE typtype = 'd' AND typnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'domain', s.name || '.' || quote_ident(t.typname),
       jsonb_strip_nulls(jsonb_build_object(
         'type', format_type(t.typbasetype, t.typtypmod), 'null', CASE WHEN t.typnotnull THEN 'NOT NULL' END,
         'default', pg_get_expr(t.typdefaultbin, 0),
         'collation', CASE WHEN t.typcollation <> b.typcollation THEN t.typcollation::regcollation::text END
       ))::text, t.typowner::regrole::text, coalesce(t.typacl, acldefault('T', t.typowner))::text[]
  FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace JOIN pg_type b ON b.oid = t.typbasetype
 WHERE t.typtype = 'd' AND (t.tableoid, t.oid) NOT IN (SELECT classid, objid FROM members)
