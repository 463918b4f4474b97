"""Development tools: embedded Kafka and Postgres, and the demonstration."""
