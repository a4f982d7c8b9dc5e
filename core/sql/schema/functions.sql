-- Functions and procedures, part by part: pg_get_functiondef would print the body inside the rest.
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
       s.name || '.' || quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')',
       jsonb_strip_nulls(jsonb_build_object(
         'arguments', pg_get_function_arguments(p.oid), 'result', pg_get_function_result(p.oid),
         'language', l.lanname, 'body', p.prosrc, 'library', p.probin, 'SQL body', pg_get_function_sqlbody(p.oid),
         'window', CASE WHEN p.prokind = 'w' THEN 'yes' END,
         'volatility', CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END,
         'strictness', CASE WHEN p.proisstrict THEN 'STRICT' END,
         'security', CASE WHEN p.prosecdef THEN 'DEFINER' ELSE 'INVOKER' END,
         'leakproofness', CASE WHEN p.proleakproof THEN 'LEAKPROOF' END,
         'parallel safety', CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' ELSE 'UNSAFE' END,
         'cost', p.procost, 'rows', nullif(p.prorows, 0), 'support function', nullif(p.prosupport::text, '-'),
         'transforms', (SELECT string_agg(format_type(x, NULL), ', ') FROM unnest(p.protrftypes) x),
         'settings', array_to_string(p.proconfig, ', ')
       ))::text, p.proowner::regrole::text, coalesce(p.proacl, acldefault('f', p.proowner))::text[]
  FROM pg_proc p
  JOIN spaces s ON s.oid = p.pronamespace
  JOIN pg_language l ON l.oid = p.prolang
 WHERE p.prokind <> 'a' AND (p.tableoid, p.oid) NOT IN (SELECT classid, objid FROM members)
