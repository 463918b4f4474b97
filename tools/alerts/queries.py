"""The Prometheus queries of the runbooks: pairs of runbook and query."""

from support.pages import steps

from deploy.runbooks import callers

QUERIES = [(name, step.text) for name in callers() for step in steps(f"runbooks/{name}") if step.language == "promql"]
