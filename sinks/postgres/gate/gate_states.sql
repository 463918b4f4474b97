-- The verdicts that stand.
SELECT target, passed FROM gate_state
