-- Pauses the target $2 of kind $1. A target that is paused already keeps its reason.
INSERT INTO pause (kind, target, paused_by, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING true
