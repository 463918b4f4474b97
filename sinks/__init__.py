"""Adapters that write to Kafka and Postgres: the commit transaction, publishing, migrations, and the audit's counts."""
