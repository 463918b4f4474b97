"""The admin port: where it is set, figures, readiness and documents are answered there, and nowhere else."""

from typing import Final

from bridge.http.answer import Scope

ADMIN_PATHS: Final = frozenset({"/metrics", "/ready", "/docs", "/openapi.json"})
_EVERYWHERE: Final = frozenset({"/", "/health"})
PAGES: Final = ADMIN_PATHS | _EVERYWHERE
"""All paths that are not a script's and not an operator's."""


def is_served(scope: Scope, admin_port: int) -> bool:
    """Whether the port that the request came in by answers its path; `admin_port` 0 is none, and one port answers all."""
    path = scope["path"].rstrip("/") or "/"
    if not admin_port or path in _EVERYWHERE:
        return True
    return (path in ADMIN_PATHS) == is_admin(scope, admin_port)


def is_admin(scope: Scope, admin_port: int) -> bool:
    """Whether the request came in by the admin port; `admin_port` 0 is none."""
    return bool(admin_port) and bool(scope["server"][1] == admin_port)
