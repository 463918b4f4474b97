-- Removes the items that are predicted to fail from the plan $1, which this transaction creates.
SELECT keep_passing($1)
