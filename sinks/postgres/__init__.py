"""The adapter of Postgres: connections, the commit transaction, and one folder for each noun with its SQL."""
