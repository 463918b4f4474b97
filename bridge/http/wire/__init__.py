"""Below requests: connections, parsing, and what both may cost the event loop."""
