-- The current verdicts.
SELECT target, passed FROM gate_state
