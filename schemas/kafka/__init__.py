"""What stands on Kafka beside values: topics, headers, their proof, dead letters."""
