-- Event triggers, apart from the rehearsal's own observers.
-- Seldom: pg_event_trigger WHERE NOT starts_with(evtname, 'rollback_rehearsal_')
SELECT 'event trigger', quote_ident(e.evtname),
       jsonb_strip_nulls(jsonb_build_object(
         'event', e.evtevent, 'function', e.evtfoid::regprocedure::text, 'tags', array_to_string(e.evttags, ', '),
         'firing', CASE e.evtenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END
       ))::text, e.evtowner::regrole::text, NULL
  FROM pg_event_trigger e
 WHERE NOT starts_with(e.evtname, 'rollback_rehearsal_')
   AND (e.tableoid, e.oid) NOT IN (SELECT classid, objid FROM members)
