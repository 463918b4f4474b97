-- The current verdicts of the targets that are evaluated: registered sites, site 0 (no readable site), and the total.
SELECT target, passed FROM gate_state
WHERE target IN (SELECT 'site:' || site_id FROM site UNION ALL VALUES ('site:0'), ('total'))
