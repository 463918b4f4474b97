"""Tests of alert rules, routes and dashboards by promtool, amtool, Prometheus and the running product."""
