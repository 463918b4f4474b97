"""The HTTP gateway: it accepts events from producers, and answers 202 when Kafka has acknowledged them."""
