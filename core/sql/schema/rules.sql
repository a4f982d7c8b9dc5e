-- Rewrite rules besides the one that makes a view a view.
-- Seldom: pg_rewrite WHERE rulename <> '_RETURN' AND oid >= 16384
SELECT 'rule', r.name || '.' || quote_ident(w.rulename),
       jsonb_strip_nulls(jsonb_build_object(
         'definition', pg_get_ruledef(w.oid),
         'firing', CASE w.ev_enabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END
       ))::text, NULL, NULL
  FROM relations r JOIN pg_rewrite w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
