-- ALTER DATABASE SET, ALTER ROLE SET and both together. A custom setting may hold a secret: its digest is kept.
-- Seldom: pg_db_role_setting WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
SELECT 'settings',
       concat_ws(' ', 'role ' || nullif(s.setrole, 0)::regrole, CASE WHEN s.setdatabase <> 0 THEN 'database' END, o.name),
       jsonb_build_object('value', CASE WHEN strpos(o.name, '.') > 0 THEN encode(sha256(convert_to(o.value, 'UTF8')), 'hex')
                                        ELSE o.value END)::text, NULL, NULL
  FROM pg_db_role_setting s
 CROSS JOIN LATERAL (SELECT split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
                       FROM unnest(s.setconfig) c) o
 WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
