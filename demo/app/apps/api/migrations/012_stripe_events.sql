-- 012 Stripe events: webhook idempotency. Stripe sends an event again until we answer, so each id counts once.

CREATE TABLE stripe_events (
    event_id         text PRIMARY KEY CHECK (event_id LIKE 'evt\_%'),
    type             text NOT NULL,
    subscription_id  bigint REFERENCES subscriptions (id) ON DELETE SET NULL,
    payload          jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    attempts         integer NOT NULL DEFAULT 1 CHECK (attempts > 0),
    received_at      timestamptz NOT NULL DEFAULT now(),
    processed_at     timestamptz
);
COMMENT ON TABLE stripe_events IS 'Every webhook by its Stripe id. Kept for 90 days.';

CREATE INDEX stripe_events_subscription_id_idx ON stripe_events (subscription_id);
CREATE INDEX stripe_events_unprocessed_idx ON stripe_events (received_at) WHERE processed_at IS NULL;

CREATE FUNCTION claim_stripe_event(p_event_id text, p_type text, p_payload jsonb) RETURNS boolean
    LANGUAGE plpgsql
AS $$
DECLARE
    is_new boolean;
BEGIN
    INSERT INTO stripe_events AS e (event_id, type, payload)
    VALUES (p_event_id, p_type, p_payload)
    ON CONFLICT (event_id) DO UPDATE SET attempts = e.attempts + 1
    RETURNING e.attempts = 1 INTO is_new;
    RETURN is_new;
END;
$$;
COMMENT ON FUNCTION claim_stripe_event(text, text, jsonb) IS 'True for the first delivery; a repeated one is only counted.';
