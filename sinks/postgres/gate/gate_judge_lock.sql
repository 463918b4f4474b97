-- One worker judges at a time; the others leave it to that one. A row, since every account may take an advisory lock.
UPDATE gate_judge SET judged_at = now()
WHERE name IN (SELECT j.name FROM gate_judge AS j WHERE j.name = 'gate' FOR UPDATE SKIP LOCKED)
RETURNING true
