"""Reading: batches of consecutive records from Kafka."""
