"""Compatibility with the previous release, and the name of the release that ends this compatibility."""

from typing import Final

ENDS_WITH: Final = "0.2.0"
"""The release from which webhooks have only one signature, and accounts with excess grants are refused."""
