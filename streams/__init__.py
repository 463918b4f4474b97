"""The data path: the source of records, the pure pipeline and rules, the worker, and Faust as the worker's host.

The worker consists of lanes. A lane is an asyncio task that processes and commits the batches of some partitions, one
batch after another.
"""
