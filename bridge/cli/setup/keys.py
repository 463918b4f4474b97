"""`bridge keys show webhook|proof`: keys with which receivers verify webhooks, and workers the gateway's records."""

from enum import StrEnum
from typing import Annotated

import typer

from bridge.cli.common import Verbose, command_settings, result, say
from schemas.config.derived_keys import proof_key
from schemas.config.overlap import ENDS_WITH
from schemas.config.settings import Settings
from schemas.errors import InvalidInput

keys_app = typer.Typer(name="keys", help="Keys that others need.", no_args_is_help=True)


class _Shown(StrEnum):
    """Keys that are used outside the bridge; all others are used by the bridge alone."""

    WEBHOOK = "webhook"
    PROOF = "proof"


@keys_app.callback()
def _group() -> None:
    """Make this a group: without a callback, a group of one command is that command."""


@keys_app.command()
def show(
    key: Annotated[
        _Shown,
        typer.Argument(
            metavar="KEY",
            help="webhook: what receivers verify by; proof: what workers and the API know the gateway's records by.",
        ),
    ],
    verbose: Verbose = False,
) -> None:
    """Print a key for the settings of a receiver, or of workers and the API. BRIDGE_SECRET_KEY can't be had from it."""
    settings = command_settings(verbose=verbose)
    if key is _Shown.PROOF:
        result(_proof_key(settings))
        return
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


def _proof_key(settings: Settings) -> str:
    if settings.gateway_proof_key is not None:
        say("BRIDGE_GATEWAY_PROOF_KEY is set:")
        return settings.gateway_proof_key.get_secret_value()
    if settings.secret_key is None:
        raise InvalidInput("BRIDGE_SECRET_KEY is not set: the proof key is derived from it")
    say("set BRIDGE_GATEWAY_PROOF_KEY to it where BRIDGE_SECRET_KEY is not needed, as for workers and the API:")
    return proof_key(settings.secret_key.get_secret_value())
