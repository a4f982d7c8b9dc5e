ALTER TABLE profiles DROP COLUMN plan_hint;
DROP TABLE subscriptions;
INSERT INTO ran (what) VALUES ('undo 002');
