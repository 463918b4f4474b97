-- The number of rows of one table. Its quoted name is filled in.
SELECT count(*) AS counted FROM %(table)s
