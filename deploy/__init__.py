"""What runs beside the bridge, as code: alert rules and dashboards, written by `python -m deploy`."""
