-- Leaves out of the plan $1, which this transaction makes, what would not pass.
SELECT keep_passing($1)
