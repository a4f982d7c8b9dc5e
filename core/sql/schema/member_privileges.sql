-- Privileges on what extensions brought, where they are not the default: GRANT and REVOKE reach it, although nothing
-- else of it is listed.
SELECT m.kind, m.identity, NULL, NULL, m.held::text[]
  FROM (SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
               p.pronamespace::regnamespace || '.' || quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')'
               AS identity, p.proacl AS held, acldefault('f', p.proowner) AS given
          FROM pg_proc p
         WHERE p.proacl IS NOT NULL AND (p.tableoid, p.oid) IN (SELECT classid, objid FROM members)
         UNION ALL
        SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'table' END,
               c.relnamespace::regnamespace || '.' || quote_ident(c.relname),
               c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner)
          FROM pg_class c
         WHERE c.relacl IS NOT NULL AND (c.tableoid, c.oid) IN (SELECT classid, objid FROM members)
         UNION ALL
        SELECT 'language', quote_ident(l.lanname), l.lanacl, acldefault('l', l.lanowner)
          FROM pg_language l
         WHERE l.lanacl IS NOT NULL AND (l.tableoid, l.oid) IN (SELECT classid, objid FROM members)) m
 WHERE NOT (m.held @> m.given AND m.held <@ m.given)
