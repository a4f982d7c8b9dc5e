-- Columns of tables and foreign tables. Nothing depends on attnum: a column added and dropped again leaves no trace.
-- From 18 NOT NULL is a constraint with a name: told only where the name was chosen by a person.
SELECT 'column', r.name || '.' || quote_ident(a.attname),
       jsonb_strip_nulls(jsonb_build_object(
         'type', format_type(a.atttypid, a.atttypmod),
         'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
         'null', CASE WHEN n.convalidated IS FALSE THEN 'NOT NULL, not valid' WHEN a.attnotnull THEN 'NOT NULL' END,
         'null inheritance', CASE WHEN n.connoinherit THEN 'none' END,
         'null constraint name', CASE WHEN n.conname !~ '_not_null\d*$' THEN n.conname END,
         'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
         'generation', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid)
                       || CASE a.attgenerated WHEN 's' THEN ' STORED' ELSE ' VIRTUAL' END END,
         'identity', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END,
         'statistics', nullif(a.attstattarget, -1)::text,
         'storage', CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage
                    WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
         'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
         'options', array_to_string(a.attoptions, ', '),
         'foreign options', array_to_string(a.attfdwoptions, ', ')
       ))::text,
       NULL::text, a.attacl::text[]
  FROM relations r
  JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_constraint n ON n.contype = 'n' AND n.conrelid = a.attrelid AND n.conkey[1] = a.attnum
 WHERE r.relkind IN ('r', 'p', 'f')
