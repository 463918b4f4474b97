-- Whether a partition of the events has a row. Its name is the catalogue's own, quoted.
SELECT EXISTS (SELECT FROM %(name)s)
