-- Text search dictionaries.
-- Seldom: pg_ts_dict WHERE dictnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'text search dictionary', s.name || '.' || quote_ident(d.dictname),
       jsonb_strip_nulls(jsonb_build_object(
         'template', (SELECT n.nspname || '.' || t.tmplname FROM pg_ts_template t
                        JOIN pg_namespace n ON n.oid = t.tmplnamespace WHERE t.oid = d.dicttemplate),
         'options', d.dictinitoption
       ))::text, d.dictowner::regrole::text, NULL
  FROM pg_ts_dict d JOIN spaces s ON s.oid = d.dictnamespace
 WHERE (d.tableoid, d.oid) NOT IN (SELECT classid, objid FROM members)
