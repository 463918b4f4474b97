-- BRIN indexes of the months of bridge_event that autovacuum does not summarise, if the current role may change that.
SELECT i.oid::regclass::text AS name
FROM pg_inherits AS m
JOIN pg_index AS x ON x.indrelid = m.inhrelid
JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_am AS a ON a.oid = i.relam
WHERE m.inhparent = to_regclass('bridge_event') AND a.amname = 'brin' AND pg_has_role(i.relowner, 'USAGE')
  AND NOT coalesce('autosummarize=on' = ANY (i.reloptions) OR 'autosummarize=true' = ANY (i.reloptions), false)
