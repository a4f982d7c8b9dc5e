-- Subscriptions without their connection string, which may hold a password. For `older` see published.sql.
-- Seldom: pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
SELECT 'subscription', quote_ident(s.subname),
       jsonb_strip_nulls(jsonb_build_object(
         'state', CASE WHEN s.subenabled THEN 'enabled' ELSE 'disabled' END, 'slot', s.subslotname,
         'synchronous commit', s.subsynccommit, 'publications', array_to_string(s.subpublications, ', '),
         'binary', s.subbinary, 'streaming', s.substream::text,
         'two phase', (SELECT subtwophasestate FROM pg_subscription x WHERE x.oid = s.oid),
         'disable on error', (SELECT subdisableonerr FROM pg_subscription x WHERE x.oid = s.oid),
         'password required', (SELECT subpasswordrequired FROM pg_subscription x WHERE x.oid = s.oid),
         'run as owner', (SELECT subrunasowner FROM pg_subscription x WHERE x.oid = s.oid),
         'failover', (SELECT subfailover FROM pg_subscription x WHERE x.oid = s.oid),
         'origin', (SELECT suborigin FROM pg_subscription x WHERE x.oid = s.oid)
       ))::text, s.subowner::regrole::text, NULL
  FROM (SELECT NULL::"char" AS subtwophasestate, NULL::boolean AS subdisableonerr, NULL::boolean AS subpasswordrequired,
               NULL::boolean AS subrunasowner, NULL::boolean AS subfailover, NULL::text AS suborigin) older
 CROSS JOIN (SELECT oid, subdbid, subname, subowner, subenabled, subslotname, subsynccommit, subpublications, subbinary,
                    substream FROM pg_subscription) s
 WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
