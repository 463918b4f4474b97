-- Marks a change as published, unless a later change has replaced it.
UPDATE gate_state SET published = true WHERE target = $1 AND change_id = $2::uuid
