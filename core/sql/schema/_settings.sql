-- Everything that changes how PostgreSQL prints a definition, for this transaction only.
-- Constants are printed by their type's output function, hence the date, interval, float and money formats; names
-- may hold characters that the client's own encoding lacks;
-- JIT and parallel workers only cost time on catalogs.
SELECT set_config(name, value, true)
  FROM (VALUES ('search_path', ''), ('quote_all_identifiers', 'off'), ('datestyle', 'ISO, YMD'), ('timezone', 'UTC'),
               ('intervalstyle', 'postgres'), ('bytea_output', 'hex'), ('extra_float_digits', '1'),
               ('lc_monetary', 'C'), ('client_encoding', 'UTF8'), ('jit', 'off'), ('max_parallel_workers_per_gather', '0')) AS s (name, value)
