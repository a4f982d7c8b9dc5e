-- Conversions between encodings.
-- Seldom: pg_conversion WHERE connamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'conversion', s.name || '.' || quote_ident(c.conname),
       jsonb_build_object('from', pg_encoding_to_char(c.conforencoding), 'to', pg_encoding_to_char(c.contoencoding),
                          'function', c.conproc::text, 'default', c.condefault)::text,
       c.conowner::regrole::text, NULL
  FROM pg_conversion c JOIN spaces s ON s.oid = c.connamespace
 WHERE (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
