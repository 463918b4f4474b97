"""What the campaign's own tests share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def quiet_client() -> Iterator[None]:
    """What the client has to say of a broker that we have taken away is no news."""
    logger = logging.getLogger("aiokafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)
