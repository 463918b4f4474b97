"""Fixtures of the campaign's own tests."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def quiet_client() -> Iterator[None]:
    """Silence the client's messages about a broker that the test has stopped."""
    logger = logging.getLogger("aiokafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)
