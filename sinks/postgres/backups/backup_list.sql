-- All backups that are still there, the newest first.
SELECT backup_id, kind, taken_at, ended_at, stored_at, stored_bytes, row_count, encrypted, checked_at, problem, restore_seconds, note
FROM backup WHERE removed_at IS NULL ORDER BY taken_at DESC, backup_id DESC
