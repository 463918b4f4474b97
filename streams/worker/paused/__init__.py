"""Paused partitions: those that a lane does not read, with the reasons; the breaker's and replaced logs' in detail."""
