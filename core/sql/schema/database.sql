-- What is set on the database itself, without its name: a copy has another one.
SELECT 'settings', 'database ' || f.name, jsonb_build_object('value', f.value)::text, NULL, NULL
  FROM pg_database d
 CROSS JOIN LATERAL (VALUES
       ('owner', d.datdba::regrole::text),
       ('privileges', (SELECT string_agg(a::text, ', ' ORDER BY a::text COLLATE "C")
                         FROM unnest(coalesce(d.datacl, acldefault('d', d.datdba))) a)),
       ('connection limit', nullif(d.datconnlimit, -1)::text),
       ('comment', shobj_description(d.oid, 'pg_database'))) AS f (name, value)
 WHERE d.datname = current_database() AND f.value IS NOT NULL
