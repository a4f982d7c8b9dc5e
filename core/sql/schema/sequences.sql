-- Sequences: parameters and the column that owns them. The value is data.
SELECT 'sequence', s.name || '.' || quote_ident(c.relname),
       jsonb_strip_nulls(jsonb_build_object(
         'table', r.name,
         'owning column', r.name || '.' || quote_ident(a.attname),
         'identity', CASE WHEN d.deptype = 'i' THEN 'yes' END,
         'type', format_type(q.seqtypid, NULL), 'start', q.seqstart, 'increment', q.seqincrement,
         'minimum', q.seqmin, 'maximum', q.seqmax, 'cache', q.seqcache,
         'cycling', CASE WHEN q.seqcycle THEN 'on' END,
         'persistence', CASE c.relpersistence WHEN 'u' THEN 'unlogged' END
       ))::text, c.relowner::regrole::text, coalesce(c.relacl, acldefault('s', c.relowner))::text[]
  FROM pg_sequence q
  JOIN pg_class c ON c.oid = q.seqrelid
  JOIN spaces s ON s.oid = c.relnamespace
  LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  LEFT JOIN relations r ON r.oid = d.refobjid
  LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
 WHERE (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
