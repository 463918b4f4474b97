-- Notes that the dumps $1 are all that the store $2 has: the other ones there are gone.
UPDATE backup SET removed_at = now()
WHERE kind = 'dump' AND stored_at = $2::text AND removed_at IS NULL AND backup_id <> ALL ($1::text[])
