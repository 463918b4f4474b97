"""The bar at full size: a million events while workers join, are killed and leave."""

import os
from pathlib import Path

import pytest
from support.campaign import Campaign
from support.fire import under_fire

EVENTS = int(os.environ.get("EVENTS", "1000000"))


@pytest.mark.timeout(1500)
async def test_exact_under_fire(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """Audit balanced, rows equal the distinct valid keys, windows equal the outcomes, Kafka's offsets at the end."""
    campaign = Campaign(stack.kafka, database_url, topic_prefix, tmp_path)

    await under_fire(campaign, EVENTS)
