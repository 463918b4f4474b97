"""Paused partitions: those that a lane (a task of the worker) does not read for now, with the reasons.

The circuit breaker's paused partitions, and those whose log was replaced, have a module each.
"""
