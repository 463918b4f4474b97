"""The worker. It consists of lanes, tasks that each read some partitions and commit their batches in order."""
