-- Text search configurations with the dictionaries of each kind of token.
-- Seldom: pg_ts_config WHERE cfgnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'text search configuration', s.name || '.' || quote_ident(c.cfgname),
       jsonb_strip_nulls(jsonb_build_object(
         'parser', (SELECT n.nspname || '.' || p.prsname FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace
                     WHERE p.oid = c.cfgparser),
         'mapping', (SELECT string_agg(t.alias || ' ' || m.mapdict::regdictionary, ', '
                                       ORDER BY m.maptokentype, m.mapseqno)
                       FROM pg_ts_config_map m JOIN ts_token_type(c.cfgparser) t ON t.tokid = m.maptokentype
                      WHERE m.mapcfg = c.oid)
       ))::text, c.cfgowner::regrole::text, NULL
  FROM pg_ts_config c JOIN spaces s ON s.oid = c.cfgnamespace
 WHERE (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
