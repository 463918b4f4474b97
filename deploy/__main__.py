"""`python -m deploy`: writes the alert rules, their page, the runbooks' index and the dashboards from code."""

from bridge.reference.rules import render
from deploy import dashboards, rules, runbooks

rules.RULES.write_text(render())
rules.PAGE.write_text(rules.page())
runbooks.INDEX.write_text(runbooks.index())
for path, text in dashboards.files().items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
