-- Text search templates; their functions are told by name.
-- Seldom: pg_ts_template WHERE tmplnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'text search template', s.name || '.' || quote_ident(t.tmplname),
       (to_jsonb(t) - ARRAY['oid', 'tmplname', 'tmplnamespace'])::text, NULL, NULL
  FROM pg_ts_template t JOIN spaces s ON s.oid = t.tmplnamespace
 WHERE (t.tableoid, t.oid) NOT IN (SELECT classid, objid FROM members)
