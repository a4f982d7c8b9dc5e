-- Indexes that belong to no constraint. The definition starts after the name, so that equal indexes look equal.
SELECT 'index', s.name || '.' || quote_ident(ic.relname),
       jsonb_strip_nulls(jsonb_build_object(
         'table', r.name,
         'definition', CASE WHEN i.indisunique THEN 'UNIQUE' ELSE '' END
            || substr(pg_get_indexdef(i.indexrelid), length('CREATE INDEX ' || quote_ident(ic.relname)) + 1
                      + CASE WHEN i.indisunique THEN length('UNIQUE ') ELSE 0 END),
         'validity', CASE WHEN NOT (i.indisvalid AND i.indisready) THEN 'not valid' END,
         'tablespace', (SELECT quote_ident(t.spcname) FROM pg_tablespace t WHERE t.oid = ic.reltablespace),
         'clustering', CASE WHEN i.indisclustered THEN 'on' END,
         'parent', (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = i.indexrelid),
         'statistics', CASE WHEN i.indexprs IS NOT NULL THEN
            (SELECT string_agg(a.attnum || ': ' || a.attstattarget, ', ' ORDER BY a.attnum)
               FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0) END
       ))::text, NULL, NULL
  FROM relations r
  JOIN pg_index i ON i.indrelid = r.oid
  JOIN pg_class ic ON ic.oid = i.indexrelid
  JOIN spaces s ON s.oid = ic.relnamespace
 WHERE NOT EXISTS (SELECT FROM pg_constraint c
                    WHERE c.conrelid = r.oid AND c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x'))
