"""The caller of a route and its tenant scope, as FastAPI dependencies."""

from typing import Annotated

from fastapi import Depends, Request

from bridge.api.tenant_scope import TenantScope


def _scope(request: Request) -> TenantScope:
    """Return the caller's scope; the outermost layer has authenticated every request of a route."""
    services = request.app.state.services
    return TenantScope(services.settings, services.runs, request.scope["bridge_caller"])


Scope = Annotated[TenantScope, Depends(_scope)]
