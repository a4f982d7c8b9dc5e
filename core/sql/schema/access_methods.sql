-- Access methods that no extension brought.
-- Seldom: pg_am WHERE oid >= 16384
SELECT 'access method', quote_ident(a.amname),
       jsonb_build_object('handler', a.amhandler::text, 'type', a.amtype)::text, NULL, NULL
  FROM pg_am a
 WHERE a.oid >= 16384 AND (a.tableoid, a.oid) NOT IN (SELECT classid, objid FROM members)
