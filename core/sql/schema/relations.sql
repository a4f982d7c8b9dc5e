-- Tables, views, materialized views and foreign tables; columns of views belong to their definition.
-- Whether a materialized view is populated is data.
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END,
       r.name,
       jsonb_strip_nulls(jsonb_build_object(
         'persistence', CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,
         'options', (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(c.reloptions) o),
         'toast options', CASE WHEN c.reltoastrelid <> 0 THEN
            (SELECT array_to_string(t.reloptions, ', ') FROM pg_class t WHERE t.oid = c.reltoastrelid) END,
         'access method', (SELECT a.amname FROM pg_am a WHERE a.oid = c.relam AND (a.amname <> 'heap' OR c.relkind = 'p')),
         'tablespace', (SELECT quote_ident(t.spcname) FROM pg_tablespace t WHERE t.oid = c.reltablespace),
         'row type', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
         'partition key', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
         'partition bound', CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
         'parents', (SELECT string_agg(coalesce(p.name, i.inhparent::regclass::text), ', ' ORDER BY i.inhseqno)
                       FROM pg_inherits i LEFT JOIN relations p ON p.oid = i.inhparent
                      WHERE i.inhrelid = c.oid AND NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false)),
         'row security', CASE WHEN c.relrowsecurity THEN 'enabled' END,
         'forced row security', CASE WHEN c.relforcerowsecurity THEN 'enabled' END,
         'replica identity', CASE c.relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' WHEN 'i' THEN
            (SELECT 'index ' || i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)
            END,
         'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
         'columns', CASE WHEN c.relkind IN ('v', 'm') THEN
            (SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                      CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || a.attcollation::regcollation END,
                      'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'STATISTICS ' || nullif(a.attstattarget, -1),
                      CASE WHEN a.attstorage <> t.typstorage THEN 'STORAGE ' || a.attstorage::text END,
                      'COMPRESSION ' || nullif(a.attcompression::text, '')),
                      ', ' ORDER BY a.attnum)
               FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
               LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END,
         'server', (SELECT quote_ident(s.srvname) FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver
                     WHERE f.ftrelid = c.oid),
         'foreign options', (SELECT array_to_string(f.ftoptions, ', ') FROM pg_foreign_table f WHERE f.ftrelid = c.oid)
       ))::text,
       c.relowner::regrole::text, coalesce(c.relacl, acldefault('r', c.relowner))::text[]
  FROM relations r JOIN pg_class c ON c.oid = r.oid
