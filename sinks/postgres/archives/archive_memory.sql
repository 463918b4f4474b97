-- Sets the memory of this transaction so that the digests of a month's rows are sorted in few passes, and turns off compilation, which takes longer than
-- the statements.
SELECT set_config('work_mem', '256MB', true), set_config('jit', 'off', true)
