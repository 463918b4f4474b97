-- Keeps the events from being removed until the transaction of an audit, archive or backup ends. It is taken before the transaction's snapshot, because TRUNCATE empties a table for
-- snapshots that do not show it yet. Commits do not wait for it.
LOCK TABLE bridge_event IN ACCESS SHARE MODE
