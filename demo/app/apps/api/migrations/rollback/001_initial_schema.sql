-- Undoes 001_initial_schema.sql. Children first.

DROP TABLE stages;
DROP TABLE epochs;
DROP TABLE profiles;
DROP FUNCTION set_updated_at();
DROP TYPE stage_kind;
DROP TYPE profile_status;
