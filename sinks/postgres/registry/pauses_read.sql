-- All pauses, the longest first.
SELECT kind, target, paused_at, paused_by, reason FROM pause ORDER BY paused_at, kind, target
