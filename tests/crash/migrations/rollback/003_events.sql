DROP TABLE events;
INSERT INTO ran (what) VALUES ('undo 003');
