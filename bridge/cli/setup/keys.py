"""`bridge keys show webhook|proof`: the key that verifies webhooks, and the key that verifies the gateway's records."""

from enum import StrEnum
from typing import Annotated

import typer

from bridge.cli.common import Verbose, command_settings, result, say
from bridge.cli.lazy import group
from schemas.config.derived_keys import proof_key
from schemas.config.overlap import ENDS_WITH
from schemas.config.settings import Settings
from schemas.errors import InvalidInput

keys_app = group("keys", "Show keys that other programs need.")


class _Shown(StrEnum):
    """The keys that `bridge keys show` prints: programs outside of the product verify its messages with them."""

    WEBHOOK = "webhook"
    PROOF = "proof"


@keys_app.callback()
def _group() -> None:
    """Make this a group. Without a callback, typer runs a group of one command as that command."""


@keys_app.command()
def show(
    key: Annotated[
        _Shown,
        typer.Argument(
            metavar="KEY",
            help="webhook: the secret with which receivers verify webhooks; proof: the key with which workers and the API verify "
            "the gateway's headers.",
        ),
    ],
    verbose: Verbose = False,
) -> None:
    """Print a key for the settings of receivers, or of workers and the API. It does not reveal BRIDGE_SECRET_KEY."""
    settings = command_settings(verbose=verbose)
    if key is _Shown.PROOF:
        result(_proof_key(settings))
        return
    if not settings.webhook_secrets:
        raise InvalidInput(f"BRIDGE_SECRET_KEY is not set; set it, because the {key} secret is derived from it")
    if settings.worker_alert_webhook_secret is not None:
        say("webhooks are signed with BRIDGE_WORKER_ALERT_WEBHOOK_SECRET:")
    else:
        say(
            f"before {ENDS_WITH}, webhooks have a second signature, made with BRIDGE_SECRET_KEY. If receivers verify it, "
            "give each receiver this secret, set BRIDGE_WORKER_ALERT_WEBHOOK_SECRET to it, then replace BRIDGE_SECRET_KEY:"
        )
    result(settings.webhook_secrets[0])


def _proof_key(settings: Settings) -> str:
    if settings.gateway_proof_key is not None:
        say("BRIDGE_GATEWAY_PROOF_KEY is set:")
        return settings.gateway_proof_key.get_secret_value()
    if settings.secret_key is None:
        raise InvalidInput("BRIDGE_SECRET_KEY is not set; set it, because the proof key is derived from it")
    say("for services without BRIDGE_SECRET_KEY, such as workers and the API, set BRIDGE_GATEWAY_PROOF_KEY to:")
    return proof_key(settings.secret_key.get_secret_value())
