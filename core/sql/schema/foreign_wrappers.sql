-- Foreign-data wrappers.
-- Seldom: pg_foreign_data_wrapper
SELECT 'foreign data wrapper', quote_ident(w.fdwname),
       jsonb_strip_nulls(jsonb_build_object(
         'handler', nullif(w.fdwhandler, 0)::regprocedure::text, 'validator', nullif(w.fdwvalidator, 0)::regprocedure::text,
         'options', array_to_string(w.fdwoptions, ', ')
       ))::text, w.fdwowner::regrole::text, coalesce(w.fdwacl, acldefault('F', w.fdwowner))::text[]
  FROM pg_foreign_data_wrapper w
 WHERE (w.tableoid, w.oid) NOT IN (SELECT classid, objid FROM members)
