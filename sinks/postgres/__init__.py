"""The adapter of Postgres: connections, the commit transaction, and one folder a noun with its SQL beside it."""
