"""Everything that writes: the settling transaction, Kafka publishing, migrations, audit and metrics."""
