-- Lets autovacuum summarise a month's BRIN index. %(name)s is the index's own, as quoted by Postgres.
ALTER INDEX %(name)s SET (autosummarize = on)
