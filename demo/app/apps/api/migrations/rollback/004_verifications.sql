-- Undoes 004_verifications.sql.
-- A view cannot lose a column in place: drop it and make the one of 002 again, with its comment.

DROP VIEW public_profiles;
DROP TABLE verifiable_credentials;
DROP TABLE verifications;
DROP TYPE verification_status;

CREATE VIEW public_profiles AS
    SELECT p.id,
           CASE WHEN 'handle' = ANY (m.visible_fields) THEN p.handle END AS handle,
           CASE WHEN 'display_name' = ANY (m.visible_fields) THEN p.display_name END AS display_name
      FROM profiles p
      JOIN masks m ON m.id = p.public_mask_id
     WHERE p.status = 'active';
COMMENT ON VIEW public_profiles IS 'What strangers may see.';
