"""Deployment files that are generated from code: alert rules and dashboards, written by `python -m deploy`."""
