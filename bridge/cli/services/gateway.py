"""`bridge gateway`: receives events over HTTP until a signal."""

import secrets
import sys
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from bridge.cli.common import Verbose, command_settings, result, run, say
from schemas.config.service import Service
from schemas.kafka.gateway_proof import DEVELOPMENT_KEY


def gateway(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 means all addresses.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 chooses a free one.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Number of processes that serve the port.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Receive events over HTTP until SIGTERM or Ctrl-C, then finish the requests in flight.

    The exit code is 0 after a drain. It is 3 if a start check refuses or the port is in use; the error then names the
    settings to change.
    """
    given: dict[str, Any] = {"gateway_host": host, "gateway_port": port, "gateway_processes": processes}
    settings = command_settings(verbose=verbose, guarded=True, service="bridge-gateway", **given)
    if settings.secret_key is None and settings.env != "production":
        say("warning: BRIDGE_SECRET_KEY is not set, so browsers' tokens are valid only until this gateway ends")
        # Workers don't know this generated secret, so the proof of headers still uses the development key.
        proof_key = settings.gateway_proof_key or SecretStr(DEVELOPMENT_KEY.decode())
        secret = SecretStr(secrets.token_hex(32))
        settings = settings.model_copy(update={"secret_key": secret, "gateway_proof_key": proof_key})
    from bridge.gateway.server import serve, serve_with_processes
    from bridge.http.server import address_of, listening
    from streams.startup_checks import ready, warn_of_excess

    run(ready(settings, Service.GATEWAY))
    run(warn_of_excess(settings, Service.GATEWAY))
    with listening(
        settings.gateway_host, settings.gateway_port, settings.gateway_admin_host, settings.gateway_admin_port
    ) as bound:
        for name, one in zip(("gateway", "admin"), bound, strict=False):
            result(f"{name} {address_of(one)}")
        if settings.gateway_processes == 1:
            run(serve(settings, bound))
        else:
            level = {"log_level": "DEBUG"} if verbose else {}
            sys.exit(serve_with_processes(settings.model_copy(update=level), bound))
