-- Comments on everything that is listed. OIDs below 16384 are PostgreSQL's own (access/transam.h), but for `public`.
SELECT 'comment', i.type || ' ' || i.identity,
       jsonb_strip_nulls(jsonb_build_object('kind', i.type, 'text', d.description, 'table', r.name))::text, NULL, NULL
  FROM pg_description d
  CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
  LEFT JOIN pg_index x ON d.classoid = 'pg_class'::regclass AND x.indexrelid = d.objoid
  LEFT JOIN pg_constraint c ON d.classoid = 'pg_constraint'::regclass AND c.oid = d.objoid
  LEFT JOIN pg_trigger t ON d.classoid = 'pg_trigger'::regclass AND t.oid = d.objoid
  LEFT JOIN pg_policy p ON d.classoid = 'pg_policy'::regclass AND p.oid = d.objoid
  LEFT JOIN pg_rewrite w ON d.classoid = 'pg_rewrite'::regclass AND w.oid = d.objoid
  LEFT JOIN pg_event_trigger e ON d.classoid = 'pg_event_trigger'::regclass AND e.oid = d.objoid
  LEFT JOIN pg_class f ON f.oid = coalesce(x.indrelid, nullif(c.conrelid, 0), t.tgrelid, p.polrelid, w.ev_class,
                                           CASE WHEN d.classoid = 'pg_class'::regclass THEN d.objoid END)
  LEFT JOIN relations r ON r.oid = f.oid AND r.relkind IN ('r', 'p', 'f')
 WHERE (d.objoid >= 16384 OR (d.classoid = 'pg_namespace'::regclass AND d.objoid = to_regnamespace('public')))
   AND (d.classoid, d.objoid) NOT IN (SELECT classid, objid FROM members)
   AND (f.oid IS NULL OR f.relnamespace IN (SELECT oid FROM spaces))
   AND (i.schema IS NULL OR i.schema IN (SELECT name FROM spaces))
   AND (d.classoid <> 'pg_namespace'::regclass OR d.objoid IN (SELECT oid FROM spaces))
   AND coalesce(NOT starts_with(e.evtname, 'rollback_rehearsal_'), true)
