"""The data path: the source of records, the pure pipeline and rules, the worker with its lanes, and its Faust host.

A lane is a task of the worker that processes and commits the batches of some partitions in order.
"""
