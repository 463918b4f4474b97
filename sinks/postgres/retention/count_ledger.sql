-- The rows of the ledger that may be removed and were last changed before $1, and their size in bytes.
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM closed_ledger WHERE closed_at < $1
