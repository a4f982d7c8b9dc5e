CREATE TABLE subscriptions (
    profile_id bigint PRIMARY KEY REFERENCES profiles,
    plan       text NOT NULL DEFAULT 'free'
);
ALTER TABLE profiles ADD COLUMN plan_hint text;
INSERT INTO ran (what) VALUES ('do 002');
