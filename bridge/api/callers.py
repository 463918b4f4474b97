"""FastAPI dependencies: the caller of a route and its tenant scope."""

from typing import Annotated

from fastapi import Depends, Request

from bridge.api.tenant_scope import TenantScope


def _scope(request: Request) -> TenantScope:
    """Return the authenticated caller's tenant scope: the data that the request may read and change."""
    services = request.app.state.services
    return TenantScope(services.settings, services.runs, request.scope["bridge_caller"])


Scope = Annotated[TenantScope, Depends(_scope)]
