-- Extensions and their versions stand for everything that they brought.
SELECT 'extension', quote_ident(e.extname),
       jsonb_build_object('version', e.extversion, 'schema', e.extnamespace::regnamespace::text)::text,
       e.extowner::regrole::text, NULL
  FROM pg_extension e
