-- The rows that were removed, and when the last ones were, by kind, of the kinds $1.
SELECT kind, saturated(sum(rows)) AS rows, extract(epoch FROM max(removed_at))::float8 AS removed_at FROM removal
WHERE kind = ANY ($1::text[])
GROUP BY kind
