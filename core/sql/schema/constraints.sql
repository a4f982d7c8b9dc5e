-- Table constraints with what their index adds (sort order, operator classes, storage), without its name.
-- Foreign keys of partitions follow from their parents' and have names of PostgreSQL's choice.
SELECT 'constraint', r.name || '.' || quote_ident(c.conname),
       jsonb_strip_nulls(jsonb_build_object(
         'definition', pg_get_constraintdef(c.oid),
         'index', CASE WHEN c.contype IN ('p', 'u', 'x') THEN
            substr(pg_get_indexdef(c.conindid), length('CREATE INDEX ' || quote_ident(ic.relname)) + 1
                   + CASE WHEN i.indisunique THEN length('UNIQUE ') ELSE 0 END) END,
         'index validity', CASE WHEN NOT (i.indisvalid AND i.indisready) THEN 'not valid' END,
         'index tablespace', (SELECT quote_ident(t.spcname) FROM pg_tablespace t WHERE t.oid = ic.reltablespace),
         'clustering', CASE WHEN i.indisclustered THEN 'on' END,
         'triggers', (SELECT 'not as created' FROM pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgisinternal
                         AND t.tgenabled <> 'O' LIMIT 1)
       ))::text, NULL, NULL
  FROM relations r
  JOIN pg_constraint c ON c.conrelid = r.oid AND c.contype IN ('c', 'f', 'p', 'u', 'x')
  LEFT JOIN pg_index i ON i.indexrelid = c.conindid AND c.contype IN ('p', 'u', 'x')
  LEFT JOIN pg_class ic ON ic.oid = i.indexrelid
 WHERE NOT (c.contype = 'f' AND c.conparentid <> 0)
