-- Languages that no extension brought.
-- Seldom: pg_language WHERE oid >= 16384
SELECT 'language', quote_ident(l.lanname),
       jsonb_strip_nulls(jsonb_build_object(
         'trust', CASE WHEN l.lanpltrusted THEN 'trusted' END, 'handler', nullif(l.lanplcallfoid, 0)::regprocedure::text,
         'inline handler', nullif(l.laninline, 0)::regprocedure::text,
         'validator', nullif(l.lanvalidator, 0)::regprocedure::text
       ))::text, l.lanowner::regrole::text, coalesce(l.lanacl, acldefault('l', l.lanowner))::text[]
  FROM pg_language l
 WHERE l.oid >= 16384 AND (l.tableoid, l.oid) NOT IN (SELECT classid, objid FROM members)
