-- Extended statistics objects.
-- Seldom: pg_statistic_ext
SELECT 'statistics', s.name || '.' || quote_ident(x.stxname),
       jsonb_strip_nulls(jsonb_build_object('table', r.name, 'definition', pg_get_statisticsobjdef(x.oid),
                                            'target', nullif(x.stxstattarget, -1)))::text,
       x.stxowner::regrole::text, NULL
  FROM pg_statistic_ext x
  JOIN spaces s ON s.oid = x.stxnamespace
  JOIN relations r ON r.oid = x.stxrelid
