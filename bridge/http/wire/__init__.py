"""The layer below requests: connections, parsing, and the limits of their cost to the event loop."""
