-- CHECK constraints of domains; a domain's NOT NULL is told with the domain.
-- Seldom: pg_type WHERE typtype = 'd' AND typnamespace = ANY (ARRAY(SELECT oid FROM spaces))
SELECT 'domain constraint', s.name || '.' || quote_ident(t.typname) || '.' || quote_ident(c.conname),
       jsonb_build_object('definition', pg_get_constraintdef(c.oid))::text, NULL, NULL
  FROM pg_constraint c
  JOIN pg_type t ON t.oid = c.contypid
  JOIN spaces s ON s.oid = t.typnamespace
 WHERE c.contype = 'c' AND (t.tableoid, t.oid) NOT IN (SELECT classid, objid FROM members)
