"""The worker: lanes, each of which reads some partitions and commits their batches in order."""
