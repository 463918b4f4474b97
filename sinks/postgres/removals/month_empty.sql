-- Removes all rows of a month. The partition stays, for events of the month that arrive late. The name is the catalogue's own, quoted.
TRUNCATE %(name)s
