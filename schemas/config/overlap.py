"""Compatibility with the release before, and the release that ends it."""

from typing import Final

ENDS_WITH: Final = "0.2.0"
"""The release from which webhooks have only one signature, and accounts with excess grants are refused."""
