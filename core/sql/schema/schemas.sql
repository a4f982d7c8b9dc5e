-- Schemas with their owners and privileges.
SELECT 'schema', quote_ident(n.nspname), '{}', n.nspowner::regrole::text,
       coalesce(n.nspacl, acldefault('n', n.nspowner))::text[]
  FROM pg_namespace n
 WHERE n.oid IN (SELECT oid FROM spaces)
   AND (n.tableoid, n.oid) NOT IN (SELECT classid, objid FROM members)
