-- Schemas of a publication. 14 has no pg_publication_namespace, which cannot be named then: its rows are known by
-- what they depend on.
-- Seldom: pg_publication
SELECT 'published schema', quote_ident(p.pubname) || ' ' || s.name, '{}', NULL, NULL
  FROM pg_depend a
  JOIN pg_depend b ON b.classid = a.classid AND b.objid = a.objid AND b.refclassid = 'pg_namespace'::regclass
  JOIN pg_publication p ON p.oid = a.refobjid
  JOIN spaces s ON s.oid = b.refobjid
 WHERE a.classid = to_regclass('pg_catalog.pg_publication_namespace') AND a.refclassid = 'pg_publication'::regclass
