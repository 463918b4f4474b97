"""Alert rules, routes and dashboards, held against promtool, amtool, Prometheus and the running product."""
