-- Keeps a month's rows as they are until the transaction ends; they can still be read. The name is the catalogue's own, quoted.
LOCK TABLE %(name)s IN SHARE MODE
