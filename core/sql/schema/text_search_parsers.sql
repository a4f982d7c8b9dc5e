-- Text search parsers; their functions are told by name.
-- Seldom: pg_ts_parser WHERE prsnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'text search parser', s.name || '.' || quote_ident(p.prsname),
       (to_jsonb(p) - ARRAY['oid', 'prsname', 'prsnamespace'])::text, NULL, NULL
  FROM pg_ts_parser p JOIN spaces s ON s.oid = p.prsnamespace
 WHERE (p.tableoid, p.oid) NOT IN (SELECT classid, objid FROM members)
