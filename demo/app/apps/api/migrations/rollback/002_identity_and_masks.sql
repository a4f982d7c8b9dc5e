-- Undoes 002_identity_and_masks.sql.
-- The foreign key from profiles goes first, otherwise masks cannot be dropped.

DROP VIEW public_profiles;
ALTER TABLE profiles DROP CONSTRAINT profiles_public_mask_fk;
ALTER TABLE profiles DROP COLUMN public_mask_id;
DROP TABLE masks;
DROP TABLE identities;
DROP TYPE identity_provider;
