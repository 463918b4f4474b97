"""`bridge doctor`: one file for each group of checks, and `examine`, which runs them all within a time limit."""
