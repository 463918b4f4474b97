"""Once in effect: the exactness test at the size of every run, and deaths at the two worst moments."""

from pathlib import Path

import pytest
from support.campaign import Campaign
from support.fire import killed_in_between, under_fire


@pytest.mark.timeout(420)
async def test_exact_while_workers_come_and_go(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """200 000 events: one worker joins, one is killed, one joins, one is told to stop, and nothing is off by one."""
    campaign = Campaign(stack.kafka, database_url, topic_prefix, tmp_path)

    await under_fire(campaign, 200_000)


@pytest.mark.timeout(240)
async def test_exact_when_killed_at_the_worst_moments(
    stack, database_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    """SIGKILL between the retry records' publication and the commit, and between the commit and Kafka's."""
    campaign = Campaign(stack.kafka, database_url, topic_prefix, tmp_path)

    await killed_in_between(campaign, 20_000)
