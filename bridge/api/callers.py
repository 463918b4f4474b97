"""The caller of a route, and what that caller can get at."""

from typing import Annotated

from fastapi import Depends, Request

from bridge.api.tenant_scope import Reach


def _reach(request: Request) -> Reach:
    """Whoever gets to a route was admitted at the front."""
    services = request.app.state.services
    return Reach(services.settings, services.runs, request.scope["bridge_caller"])


Mine = Annotated[Reach, Depends(_reach)]
