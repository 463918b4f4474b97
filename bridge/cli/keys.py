"""`bridge keys show webhook`: what a receiver verifies webhooks with."""

from enum import StrEnum
from typing import Annotated

import typer

from bridge.cli.common import Verbose, command_settings, result, say
from schemas.errors import InvalidInput
from schemas.overlap import ENDS_WITH

keys_app = typer.Typer(name="keys", help="Keys that others need.", no_args_is_help=True)


class _Shown(StrEnum):
    """The keys that leave the bridge: of all others only the bridge itself has use."""

    WEBHOOK = "webhook"


@keys_app.callback()
def _group() -> None:
    """Nothing of its own: a group of one command would else be that command."""


@keys_app.command()
def show(
    key: Annotated[_Shown, typer.Argument(metavar="KEY", help="webhook: the secret that receivers verify by.")],
    verbose: Verbose = False,
) -> None:
    """Print the secret for a receiver's settings, `whsec_` and base64. BRIDGE_SECRET_KEY can't be had from it."""
    settings = command_settings(verbose=verbose)
    if not settings.webhook_secrets:
        raise InvalidInput(f"BRIDGE_SECRET_KEY is not set: the {key} secret is derived from it")
    if settings.worker_alert_webhook_secret is not None:
        say("BRIDGE_WORKER_ALERT_WEBHOOK_SECRET is set, and signs:")
    else:
        say(
            f"before {ENDS_WITH} BRIDGE_SECRET_KEY signs too, as a second signature. Where a receiver has verified by it: "
            "give each receiver this secret, set BRIDGE_WORKER_ALERT_WEBHOOK_SECRET to it, then replace BRIDGE_SECRET_KEY:"
        )
    result(settings.webhook_secrets[0])
