"""`bridge dlq`: find out why events were dropped, replay what can be saved, close the rest; one verb, one file."""

import typer

from bridge.cli.dlq.cancel import cancel
from bridge.cli.dlq.discard import discard
from bridge.cli.dlq.export import export
from bridge.cli.dlq.groups import groups
from bridge.cli.dlq.list import list_
from bridge.cli.dlq.plan import plan
from bridge.cli.dlq.plans import plans, status
from bridge.cli.dlq.replay import replay
from bridge.cli.dlq.show import show

dlq_app = typer.Typer(name="dlq", help="Why events were dropped, and what becomes of them.", no_args_is_help=True)

dlq_app.command("groups")(groups)
dlq_app.command("list")(list_)
dlq_app.command("show")(show)
dlq_app.command("export")(export)
dlq_app.command("discard")(discard)
dlq_app.command("plan")(plan)
dlq_app.command("replay")(replay)
dlq_app.command("status")(status)
dlq_app.command("plans")(plans)
dlq_app.command("cancel")(cancel)
