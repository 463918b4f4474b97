-- That change is published, unless another one came meanwhile.
UPDATE gate_state SET published = true WHERE target = $1 AND change_id = $2::uuid
