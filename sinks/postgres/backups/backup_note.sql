-- Notes a backup, or what is new about one.
INSERT INTO backup (backup_id, kind, taken_at, ended_at, stored_at, stored_bytes, row_count, encrypted, note)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (backup_id) DO UPDATE
SET kind = excluded.kind, taken_at = excluded.taken_at, ended_at = excluded.ended_at, stored_at = excluded.stored_at,
    stored_bytes = excluded.stored_bytes, row_count = excluded.row_count, encrypted = excluded.encrypted, removed_at = NULL,
    note = excluded.note
