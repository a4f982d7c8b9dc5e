-- Row security policies; whether row security is on is told with the table.
-- Seldom: pg_policy
SELECT 'policy', r.name || '.' || quote_ident(p.polname),
       jsonb_strip_nulls(jsonb_build_object(
         'command', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                    WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
         'mode', CASE WHEN NOT p.polpermissive THEN 'restrictive' END,
         'roles', (SELECT string_agg(CASE WHEN o = 0 THEN 'public' ELSE o::regrole::text END, ', '
                                     ORDER BY o::regrole::text COLLATE "C") FROM unnest(p.polroles) o),
         'USING expression', pg_get_expr(p.polqual, p.polrelid),
         'CHECK expression', pg_get_expr(p.polwithcheck, p.polrelid)
       ))::text, NULL, NULL
  FROM relations r JOIN pg_policy p ON p.polrelid = r.oid
