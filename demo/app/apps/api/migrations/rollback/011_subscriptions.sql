-- Undoes 011_subscriptions.sql. Everybody is on the free plan afterwards; Stripe keeps the subscriptions.

DROP VIEW active_subscriptions;
DROP TABLE subscriptions;
DROP FUNCTION sync_profile_plan();
ALTER TABLE profiles DROP COLUMN plan;
DROP TYPE subscription_status;
DROP TYPE plan_tier;
