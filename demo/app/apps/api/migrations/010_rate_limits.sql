-- 010 Rate limits: billing quotas, enforced in the database so that all API servers agree.

CREATE TABLE rate_limit_rules (
    resource     text PRIMARY KEY CHECK (resource ~ '^[a-z]+\.[a-z_]+$'),
    quota        integer NOT NULL CHECK (quota > 0),
    time_window  interval NOT NULL CHECK (time_window > interval '0')
);

INSERT INTO rate_limit_rules (resource, quota, time_window) VALUES
    ('narrative.create', 50, '1 day'),
    ('narrative.search', 600, '1 hour'),
    ('verification.request', 5, '30 days');

CREATE TABLE rate_limit_counters (
    profile_id    bigint NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    resource      text NOT NULL REFERENCES rate_limit_rules (resource) ON UPDATE CASCADE,
    window_start  timestamptz NOT NULL,
    used          integer NOT NULL DEFAULT 0 CHECK (used >= 0),
    PRIMARY KEY (profile_id, resource, window_start)
);
COMMENT ON TABLE rate_limit_counters IS 'One row per profile, resource and window; old windows are swept nightly.';

CREATE INDEX rate_limit_counters_sweep_idx ON rate_limit_counters (window_start);

CREATE FUNCTION consume_quota(p_profile_id bigint, p_resource text, p_amount integer DEFAULT 1) RETURNS boolean
    LANGUAGE plpgsql
AS $$
DECLARE
    rule rate_limit_rules;
BEGIN
    SELECT * INTO STRICT rule FROM rate_limit_rules WHERE resource = p_resource;
    IF p_amount > rule.quota THEN
        RETURN false;
    END IF;
    -- One statement, so two API servers cannot both take the last unit.
    INSERT INTO rate_limit_counters AS c (profile_id, resource, window_start, used)
    VALUES (p_profile_id, p_resource, date_bin(rule.time_window, now(), timestamptz '2024-01-01 00:00+00'), p_amount)
    ON CONFLICT (profile_id, resource, window_start)
    DO UPDATE SET used = c.used + excluded.used WHERE c.used + excluded.used <= rule.quota;
    RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION consume_quota(bigint, text, integer) IS 'Takes p_amount units; false when the window is used up.';
