"""Everything that writes: the commit transaction, Kafka publishing, migrations, audit and metrics."""
