"""`python -m deploy`: writes the alert rules, their page, the runbooks' index and the dashboards, all made from code."""

import argparse

from deploy import dashboards, rules, runbooks

parser = argparse.ArgumentParser(prog="python -m deploy", description=__doc__)
parser.add_argument("--runbooks", default=rules.RUNBOOKS, help="where runbook_url leads (default: %(default)s)")
parser.add_argument("--dashboards", default=rules.DASHBOARDS, help="where dashboard_url leads (default: %(default)s)")
given = parser.parse_args()

rules.RULES.write_text(rules.render(runbooks=given.runbooks, dashboards=given.dashboards))
rules.PAGE.write_text(rules.page())
runbooks.INDEX.write_text(runbooks.index())
for path, text in dashboards.files().items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
