"""What a script owes after it used more than its share of the event loop's time."""

from support.processes.lone_gateway import lone_gateway

from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.rate_limits import Bill, RateLimits
from schemas.pipeline.registry import Script


async def test_script_that_used_all_of_the_time_is_served_at_once_again_within_seconds() -> None:
    """The debt is capped, because no refusal limits it."""
    now = 0.0
    async with lone_gateway() as gateway:
        rate_limits = RateLimits(gateway.services.settings, lambda: now)
        own = Bill(rate_limits, Grant(Script("s1", 1, 1, True), None), "9.9.9.9")
        for second in range(600):
            now = float(second)
            own.charge_time(1.0)
        assert own.exceeds_time
        now += 2.1
        assert not own.exceeds_time
        own.owes_nothing()
