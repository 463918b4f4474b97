-- Lets one worker at a time evaluate; the others skip the evaluation. The lock is on a row, because any account may
-- take an advisory lock.
UPDATE gate_judge SET judged_at = now()
WHERE name IN (SELECT j.name FROM gate_judge AS j WHERE j.name = 'gate' FOR UPDATE SKIP LOCKED)
RETURNING true
