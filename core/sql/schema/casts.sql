-- Casts belong to no schema: those from OID 16384 on were made by people (access/transam.h).
-- Seldom: pg_cast WHERE oid >= 16384
SELECT 'cast', format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL),
       jsonb_strip_nulls(jsonb_build_object(
         'function', nullif(c.castfunc, 0)::regprocedure::text,
         'context', CASE c.castcontext WHEN 'e' THEN 'explicit' WHEN 'a' THEN 'assignment' ELSE 'implicit' END,
         'method', CASE c.castmethod WHEN 'f' THEN 'function' WHEN 'i' THEN 'input and output' ELSE 'binary' END
       ))::text, NULL, NULL
  FROM pg_cast c
 WHERE c.oid >= 16384 AND (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
