"""The admin port. If it is set, metrics, readiness and documentation are served there, and only there."""

from typing import Final

from bridge.http.answer import Scope

ADMIN_PATHS: Final = frozenset({"/metrics", "/ready", "/docs", "/openapi.json"})
_EVERYWHERE: Final = frozenset({"/", "/health"})
PAGES: Final = ADMIN_PATHS | _EVERYWHERE
"""Paths that neither producers nor operators need."""


def is_served(scope: Scope, admin_port: int) -> bool:
    """Return whether the port at which the request arrived serves its path.

    With `admin_port` 0, one port serves all paths.
    """
    path = scope["path"].rstrip("/") or "/"
    if not admin_port or path in _EVERYWHERE:
        return True
    return (path in ADMIN_PATHS) == is_admin(scope, admin_port)


def is_admin(scope: Scope, admin_port: int) -> bool:
    """Return whether the request arrived at the admin port; `admin_port` 0 means there is none."""
    return bool(admin_port) and bool(scope["server"][1] == admin_port)
