"""Compatibility with the release before, and the release that ends it."""

from typing import Final

ENDS_WITH: Final = "0.2.0"
"""From this version, webhooks have one signature, and an account with more grants than its service needs is refused."""
