-- All pauses, the oldest first.
SELECT kind, target, paused_at, paused_by, reason FROM pause ORDER BY paused_at, kind, target
