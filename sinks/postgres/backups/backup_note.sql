-- Notes a backup, or what is new about one. Without a time $3 a new backup is of the time $4, and a known one keeps its time. A known one with
-- another time is another backup of the same name, which was not tried to be restored.
INSERT INTO backup AS b (backup_id, kind, taken_at, ended_at, stored_at, stored_bytes, row_count, encrypted, note)
VALUES ($1, $2, coalesce($3::timestamptz, $4), $4, $5, $6, $7, $8, $9)
ON CONFLICT (backup_id) DO UPDATE
SET kind = excluded.kind, taken_at = coalesce($3, b.taken_at),
    ended_at = CASE WHEN $3 <> b.taken_at THEN excluded.ended_at ELSE b.ended_at END,
    stored_at = excluded.stored_at, stored_bytes = excluded.stored_bytes, row_count = excluded.row_count, encrypted = excluded.encrypted,
    checked_at = CASE WHEN $3 <> b.taken_at THEN NULL ELSE b.checked_at END,
    problem = CASE WHEN $3 <> b.taken_at THEN NULL ELSE b.problem END,
    restore_seconds = CASE WHEN $3 <> b.taken_at THEN NULL ELSE b.restore_seconds END,
    removed_at = NULL, note = coalesce(excluded.note, b.note)
