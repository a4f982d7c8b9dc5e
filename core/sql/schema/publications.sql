-- Publications: every flag of pg_publication, whichever this major has.
-- Seldom: pg_publication
SELECT 'publication', quote_ident(p.pubname),
       (to_jsonb(p) - ARRAY['oid', 'pubname', 'pubowner'])::text, p.pubowner::regrole::text, NULL
  FROM pg_publication p
 WHERE (p.tableoid, p.oid) NOT IN (SELECT classid, objid FROM members)
