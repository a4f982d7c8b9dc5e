-- Triggers made by people, and whether they fire. Those behind foreign keys are told with the constraint, and the
-- hold on a history table is our own.
SELECT 'trigger', r.name || '.' || quote_ident(t.tgname),
       jsonb_strip_nulls(jsonb_build_object(
         'definition', pg_get_triggerdef(t.oid),
         'firing', CASE t.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END
       ))::text, NULL, NULL
  FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
  JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace IS DISTINCT FROM to_regnamespace('rollback_bot')::oid
