-- Undoes 010_rate_limits.sql. The API treats a missing consume_quota() as "no limits".

DROP FUNCTION consume_quota(bigint, text, integer);
DROP TABLE rate_limit_counters;
DROP TABLE rate_limit_rules;
