-- Foreign servers.
-- Seldom: pg_foreign_server
SELECT 'foreign server', quote_ident(s.srvname),
       jsonb_strip_nulls(jsonb_build_object('wrapper', w.fdwname, 'type', s.srvtype, 'version', s.srvversion,
                                            'options', array_to_string(s.srvoptions, ', ')))::text,
       s.srvowner::regrole::text, coalesce(s.srvacl, acldefault('S', s.srvowner))::text[]
  FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
 WHERE (s.tableoid, s.oid) NOT IN (SELECT classid, objid FROM members)
