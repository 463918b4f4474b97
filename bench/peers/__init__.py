"""What people put between Kafka and Postgres today, each set up as well as it goes, on the topic that this product reads."""
