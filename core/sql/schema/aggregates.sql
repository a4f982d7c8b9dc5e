-- Aggregates, which pg_get_functiondef refuses. The OIDs in pg_aggregate are replaced by names.
-- Seldom: pg_proc WHERE prokind = 'a' AND pronamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'aggregate', s.name || '.' || quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')',
       jsonb_build_object('arguments', pg_get_function_arguments(p.oid), 'result', pg_get_function_result(p.oid),
         'volatility', p.provolatile, 'strictness', p.proisstrict, 'parallel safety', p.proparallel,
         'definition', (to_jsonb(a) - ARRAY['aggfnoid', 'aggtranstype', 'aggmtranstype', 'aggsortop']
           || jsonb_build_object('state', format_type(a.aggtranstype, NULL), 'sort', a.aggsortop::regoperator::text,
                                 'moving state', format_type(nullif(a.aggmtranstype, 0), NULL)))::text)::text,
       p.proowner::regrole::text, coalesce(p.proacl, acldefault('f', p.proowner))::text[]
  FROM pg_proc p
  JOIN pg_aggregate a ON a.aggfnoid = p.oid
  JOIN spaces s ON s.oid = p.pronamespace
 WHERE (p.tableoid, p.oid) NOT IN (SELECT classid, objid FROM members)
