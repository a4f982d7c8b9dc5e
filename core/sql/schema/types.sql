-- Enums with the order of their labels, ranges, composite and base types. Array, multirange and row types follow.
SELECT 'type', s.name || '.' || quote_ident(t.typname),
       jsonb_strip_nulls(jsonb_build_object(
         'sort', CASE WHEN NOT t.typisdefined THEN 'shell' ELSE CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'r' THEN 'range'
                 WHEN 'c' THEN 'composite' ELSE 'base' END END,
         'labels', (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                      FROM pg_enum e WHERE e.enumtypid = t.oid),
         'attributes', CASE WHEN t.typtype = 'c' THEN
            (SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                      CASE WHEN a.attcollation <> b.typcollation THEN 'COLLATE ' || a.attcollation::regcollation END),
                      ', ' ORDER BY a.attnum)
               FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid
              WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END,
         'range', (SELECT concat_ws(' ', format_type(g.rngsubtype, NULL),
                            (SELECT n.nspname || '.' || o.opcname FROM pg_opclass o JOIN pg_namespace n
                               ON n.oid = o.opcnamespace WHERE o.oid = g.rngsubopc),
                            nullif(g.rngcollation, 0)::regcollation, g.rngcanonical, g.rngsubdiff,
                            format_type(g.rngmultitypid, NULL))
                     FROM pg_range g WHERE g.rngtypid = t.oid),
         'definition', CASE WHEN t.typtype = 'b' THEN concat_ws(' ', t.typinput, t.typoutput, t.typreceive, t.typsend,
            t.typmodin, t.typmodout, t.typanalyze, t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory,
            t.typispreferred, t.typdelim, t.typdefault, format_type(nullif(t.typelem, 0), NULL),
            nullif(t.typcollation, 0)::regcollation, to_jsonb(t) ->> 'typsubscript') END
       ))::text, t.typowner::regrole::text, coalesce(t.typacl, acldefault('T', t.typowner))::text[]
  FROM pg_type t
  JOIN spaces s ON s.oid = t.typnamespace
  LEFT JOIN pg_class c ON c.oid = t.typrelid
 WHERE t.typtype IN ('e', 'r', 'c', 'b', 'p') AND (t.typrelid = 0 OR c.relkind = 'c')
   AND NOT (t.typelem <> 0 AND EXISTS (SELECT FROM pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid))
   AND (t.tableoid, t.oid) NOT IN (SELECT classid, objid FROM members)
