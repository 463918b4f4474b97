"""The layer below requests: connections, parsing, and limits of the processor time that these take.

All connections share the event loop, so one client's cost delays the others.
"""
