-- Privileges that objects made later will get.
-- Seldom: pg_default_acl
SELECT 'default privileges',
       concat_ws(' ', 'on', CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                 WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END,
                 'of', d.defaclrole::regrole, 'in ' || s.name),
       jsonb_build_object('privileges', (SELECT jsonb_agg(a::text ORDER BY a::text COLLATE "C") FROM unnest(d.defaclacl) a))::text,
       NULL, NULL
  FROM pg_default_acl d LEFT JOIN spaces s ON s.oid = d.defaclnamespace
 WHERE d.defaclnamespace = 0 OR s.oid IS NOT NULL
