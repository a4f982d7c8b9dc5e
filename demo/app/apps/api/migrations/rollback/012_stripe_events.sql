-- Undoes 012_stripe_events.sql. Until it is applied again the webhook answers 503 and Stripe keeps retrying.

DROP FUNCTION claim_stripe_event(text, text, jsonb);
DROP TABLE stripe_events;
