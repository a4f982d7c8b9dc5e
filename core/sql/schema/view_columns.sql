-- Privileges on single columns of views and materialized views.
SELECT 'column', r.name || '.' || quote_ident(a.attname), NULL, NULL, a.attacl::text[]
  FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE r.relkind IN ('v', 'm') AND a.attacl IS NOT NULL
