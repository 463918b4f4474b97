-- Sets who ($1) changes the registry in this transaction, and why ($2): triggers write both into registry_change.
SELECT set_config('bridge.changed_by', $1, true), set_config('bridge.reason', $2, true)
