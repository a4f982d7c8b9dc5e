-- The order of a table's columns, by rank: it matters to COPY and INSERT without names, not to queries by name.
SELECT 'column order', r.name,
       jsonb_build_object('order', jsonb_agg(quote_ident(a.attname) ORDER BY a.attnum))::text, NULL, NULL
  FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE r.relkind IN ('r', 'p', 'f')
 GROUP BY r.name
