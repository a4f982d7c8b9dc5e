-- Tables and schemas of a publication. `older` gives the names of columns that 14 lacks a meaning: inside the
-- subselects a name is the catalog's column where it has one, else the NULL of `older`.
-- Seldom: pg_publication
SELECT 'published table', quote_ident(p.pubname) || ' ' || r.name,
       jsonb_strip_nulls(jsonb_build_object(
         'table', r.name,
         'row filter', (SELECT pg_get_expr(prqual, x.prrelid) FROM pg_publication_rel x WHERE x.oid = b.oid),
         'columns', (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE "C")
                       FROM pg_attribute a
                      WHERE a.attrelid = b.prrelid
                        AND a.attnum = ANY ((SELECT prattrs FROM pg_publication_rel x WHERE x.oid = b.oid)::int2[]))
       ))::text, NULL, NULL
  FROM (SELECT NULL::pg_node_tree AS prqual, NULL::int2vector AS prattrs) older
 CROSS JOIN (SELECT oid, prpubid, prrelid FROM pg_publication_rel) b
  JOIN pg_publication p ON p.oid = b.prpubid
  JOIN relations r ON r.oid = b.prrelid
