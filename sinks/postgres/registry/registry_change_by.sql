-- Sets who changes the registry in this transaction ($1), and why ($2). Triggers write both into registry_change.
SELECT set_config('bridge.changed_by', $1, true), set_config('bridge.reason', $2, true)
