-- Operator families with their operators and support functions.
-- Seldom: pg_opfamily WHERE opfnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'operator family', s.name || '.' || quote_ident(f.opfname) || ' USING ' || m.amname,
       jsonb_strip_nulls(jsonb_build_object(
         'operators', (SELECT string_agg(concat_ws(' ', o.amopstrategy, o.amopopr::regoperator, o.amoppurpose), '; '
                              ORDER BY o.amopstrategy, o.amopopr::regoperator::text COLLATE "C")
                         FROM pg_amop o WHERE o.amopfamily = f.oid),
         'functions', (SELECT string_agg(concat_ws(' ', p.amprocnum, format_type(p.amproclefttype, NULL),
                                         format_type(p.amprocrighttype, NULL), p.amproc::regprocedure), '; '
                              ORDER BY p.amprocnum, p.amproc::regprocedure::text COLLATE "C",
                                       format_type(p.amproclefttype, NULL), format_type(p.amprocrighttype, NULL))
                         FROM pg_amproc p WHERE p.amprocfamily = f.oid)
       ))::text, f.opfowner::regrole::text, NULL
  FROM pg_opfamily f JOIN spaces s ON s.oid = f.opfnamespace JOIN pg_am m ON m.oid = f.opfmethod
 WHERE (f.tableoid, f.oid) NOT IN (SELECT classid, objid FROM members)
