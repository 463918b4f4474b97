"""What people touch: the command line, the demo, and the embedded Kafka and Postgres."""
