-- Operators with everything the planner is told about them.
-- Seldom: pg_operator WHERE oprnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'operator', s.name || '.' || o.oprname || '(' || concat_ws(', ', nullif(format_type(o.oprleft, NULL), '-'),
                                                                  format_type(o.oprright, NULL)) || ')',
       jsonb_strip_nulls(jsonb_build_object(
         'function', o.oprcode::regprocedure::text, 'result', format_type(o.oprresult, NULL),
         'commutator', nullif(o.oprcom, 0)::regoperator::text, 'negator', nullif(o.oprnegate, 0)::regoperator::text,
         'restriction estimator', nullif(o.oprrest::text, '-'), 'join estimator', nullif(o.oprjoin::text, '-'),
         'hashing', CASE WHEN o.oprcanhash THEN 'on' END, 'merging', CASE WHEN o.oprcanmerge THEN 'on' END
       ))::text, o.oprowner::regrole::text, NULL
  FROM pg_operator o JOIN spaces s ON s.oid = o.oprnamespace
 WHERE (o.tableoid, o.oid) NOT IN (SELECT classid, objid FROM members)
