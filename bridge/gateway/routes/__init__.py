"""The gateway's routes, one file for each."""
