"""The plan of the exactness test: who joins, who is killed, and when, by how much is settled."""

from support.campaign import Campaign
from support.killed_worker import AFTER_PUBLISHING, BEFORE_KAFKA_COMMIT


async def under_fire(campaign: Campaign, events: int) -> None:
    """A second worker joins, the first is killed, a third joins, the second gets SIGTERM; then the proof."""
    try:
        await campaign.prepare()
        await campaign.publish(events, seed=7)
        campaign.start("first")
        await campaign.reach(events // 10)
        campaign.start("second")
        await campaign.register_late()
        await campaign.reach(events * 3 // 10)
        campaign.kill("first")
        await campaign.reach(events // 2)
        campaign.start("third")
        await campaign.reach(events * 7 // 10)
        assert await campaign.terminate("second") == 0
        await campaign.drained()
        assert await campaign.terminate("third") == 0
        await campaign.prove()
    finally:
        await campaign.end_all()


async def killed_in_between(campaign: Campaign, events: int) -> None:
    """Workers die between publication and commit, and between the commit and Kafka's; another one goes on."""
    try:
        await campaign.prepare()
        await campaign.publish(events, seed=11)
        for point in (AFTER_PUBLISHING, BEFORE_KAFKA_COMMIT):
            doomed = campaign.start(point, kill_at=point)
            code = doomed.wait(120)
            assert code == -9, f"the worker was to be killed at {point} but ended with {code}: {campaign.log_of(point)}"
            del campaign.workers[point]
        campaign.start("heir")
        await campaign.register_late()
        await campaign.drained()
        assert await campaign.terminate("heir") == 0
        await campaign.prove()
    finally:
        await campaign.end_all()
