"""The worker: lanes of partitions, each of which commits its batches."""
