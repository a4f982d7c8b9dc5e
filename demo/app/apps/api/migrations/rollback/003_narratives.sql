-- Undoes 003_narratives.sql. set_updated_at() belongs to 001 and stays.

DROP TRIGGER narratives_keep_revision ON narratives;
DROP FUNCTION keep_narrative_revision();
DROP TABLE narrative_revisions;
DROP TABLE narratives;
DROP TYPE narrative_status;
