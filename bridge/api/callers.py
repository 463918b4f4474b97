"""The caller of a route, and what that caller can get at."""

from typing import Annotated

from fastapi import Depends, Request

from bridge.api.reach import Reach
from sinks.turn import Share


def _reach(request: Request) -> Reach:
    """Whoever gets to a route was admitted at the front."""
    services = request.app.state.services
    return Reach(services.settings, services.runs, request.scope["bridge_caller"])


def _exports(request: Request) -> Share:
    share: Share = request.app.state.services.exports
    return share


Mine = Annotated[Reach, Depends(_reach)]
Exports = Annotated[Share, Depends(_exports)]
