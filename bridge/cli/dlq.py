"""`bridge dlq`: dead letters, from finding out why to replaying them."""

import typer

from bridge.cli.replays import mount

dlq_app = typer.Typer(name="dlq", help="Dead letters: find out why, mend, replay.", no_args_is_help=True)

mount(dlq_app)
