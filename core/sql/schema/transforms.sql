-- Transforms between types and languages.
-- Seldom: pg_transform
SELECT 'transform', 'for ' || format_type(t.trftype, NULL) || ' in ' || quote_ident(l.lanname),
       jsonb_build_object('from SQL', t.trffromsql::text, 'to SQL', t.trftosql::text)::text, NULL, NULL
  FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang
 WHERE (t.tableoid, t.oid) NOT IN (SELECT classid, objid FROM members)
