-- Removes the items that would not pass from the plan $1, which this transaction creates.
SELECT keep_passing($1)
