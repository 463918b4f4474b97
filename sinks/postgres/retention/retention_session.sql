-- Turns off compilation for this transaction: it takes seconds for each statement, which is more than the statement itself takes.
SELECT set_config('jit', 'off', true)
