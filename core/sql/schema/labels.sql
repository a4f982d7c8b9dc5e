-- Security labels on what lives in this database; providers are modules of the server.
-- Seldom: pg_seclabel
SELECT 'security label', i.type || ' ' || i.identity || ' by ' || l.provider,
       jsonb_strip_nulls(jsonb_build_object('kind', i.type, 'text', l.label, 'table', r.name))::text, NULL, NULL
  FROM pg_seclabel l
  CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) i
  LEFT JOIN relations r ON l.classoid = 'pg_class'::regclass AND r.oid = l.objoid AND r.relkind IN ('r', 'p', 'f')
 WHERE (l.classoid, l.objoid) NOT IN (SELECT classid, objid FROM members)
   AND (i.schema IS NULL OR i.schema IN (SELECT name FROM spaces))
