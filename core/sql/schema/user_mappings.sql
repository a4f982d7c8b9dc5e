-- User mappings. Their options hold passwords: only a digest leaves the server (none without the right to see them).
-- Seldom: pg_foreign_server
SELECT 'user mapping', quote_ident(coalesce(m.usename, 'public')) || ' on ' || quote_ident(m.srvname),
       jsonb_strip_nulls(jsonb_build_object(
         'options', encode(sha256(convert_to(array_to_string(m.umoptions, ','), 'UTF8')), 'hex')))::text, NULL, NULL
  FROM pg_user_mappings m
