-- The number of closing entries, and of the keys that they account for.
SELECT count(*) AS removals, saturated(coalesce(sum(keys), 0)) AS keys FROM removal
