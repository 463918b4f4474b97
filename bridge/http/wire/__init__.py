"""The layer below requests: connections, parsing, and limits of their cost.

The cost is processor time of the event loop, which all connections share.
"""
