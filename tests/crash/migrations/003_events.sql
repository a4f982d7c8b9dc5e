CREATE TABLE events (
    id         bigint PRIMARY KEY,
    profile_id bigint REFERENCES subscriptions,
    payload    text
);
CREATE INDEX events_profile ON events (profile_id);
INSERT INTO ran (what) VALUES ('do 003');
