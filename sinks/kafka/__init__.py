"""The adapter of Kafka: connections, administration, topics, and what is published."""
