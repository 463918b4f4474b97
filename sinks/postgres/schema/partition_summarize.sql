-- Lets autovacuum summarise a month's BRIN index. %(name)s is the index's own, as Postgres quotes it.
ALTER INDEX %(name)s SET (autosummarize = on)
