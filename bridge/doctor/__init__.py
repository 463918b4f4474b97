"""`bridge doctor`: one file for each group of checks, and `examine` that makes them all within a bounded time."""
