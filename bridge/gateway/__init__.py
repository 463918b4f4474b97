"""The HTTP gateway: takes events from producers, and answers 202 only for what Kafka has acknowledged."""
