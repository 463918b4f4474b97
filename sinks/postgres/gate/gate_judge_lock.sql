-- Admits one worker at a time; the others skip the evaluation. A row, since any account may take an advisory lock.
UPDATE gate_judge SET judged_at = now()
WHERE name IN (SELECT j.name FROM gate_judge AS j WHERE j.name = 'gate' FOR UPDATE SKIP LOCKED)
RETURNING true
