-- Operator classes; their operators and functions are told with the family.
-- Seldom: pg_opclass WHERE opcnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'operator class', s.name || '.' || quote_ident(c.opcname) || ' USING ' || m.amname,
       jsonb_strip_nulls(jsonb_build_object(
         'type', format_type(c.opcintype, NULL), 'stored type', CASE WHEN c.opckeytype <> 0 THEN format_type(c.opckeytype, NULL) END,
         'family', (SELECT n.nspname || '.' || f.opfname FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace
                     WHERE f.oid = c.opcfamily),
         'default', c.opcdefault
       ))::text, c.opcowner::regrole::text, NULL
  FROM pg_opclass c JOIN spaces s ON s.oid = c.opcnamespace JOIN pg_am m ON m.oid = c.opcmethod
 WHERE (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
