"""The adapter of Kafka: connections, administration, topics, and publishing."""
