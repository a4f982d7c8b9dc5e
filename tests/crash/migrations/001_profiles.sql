CREATE TABLE profiles (
    id           bigint PRIMARY KEY,
    handle       text NOT NULL UNIQUE,
    display_name text NOT NULL,
    status       text NOT NULL DEFAULT 'active'
);
CREATE TABLE ran (number bigint GENERATED ALWAYS AS IDENTITY, what text NOT NULL);
INSERT INTO profiles SELECT n, 'p' || n, 'Person ' || n FROM generate_series(1, 200) n;
