"""The doctor's scheduling: all checks run concurrently, except those that connect to Postgres."""

import asyncio
from collections.abc import Callable

import pytest

from bridge.doctor.check import Check, Findings, ok
from bridge.doctor.examine import CONNECTIONS, examine
from schemas.config.settings import Settings

Look = Callable[[Settings], Findings]


class Counted:
    """Checks that count how many run."""

    def __init__(self) -> None:
        self.looking = 0
        self.most = 0

    def look(self, name: str, turns: int = 5) -> Look:
        """A check that lasts `turns` iterations of the loop."""

        async def made(_: Settings) -> Findings:
            self.looking += 1
            self.most = max(self.most, self.looking)
            for _turn in range(turns):
                await asyncio.sleep(0)
            self.looking -= 1
            yield [ok(name, "as it should be")]

        return made


@pytest.mark.parametrize(("connects", "most"), [(True, CONNECTIONS), (False, 20)])
async def test_few_checks_are_connected_at_once(connects: bool, most: int) -> None:
    """The account may have few connections left; checks without a connection do not wait."""
    counted = Counted()
    checks = [Check("group", f"check {number}", counted.look(f"check {number}"), connects) for number in range(20)]
    report = await examine(Settings(), timeout_sec=60, checks=checks)
    assert counted.most == most
    assert [one.check for one in report.diagnoses] == [check.name for check in checks]


async def test_a_check_that_gets_no_place_in_time_is_told() -> None:
    """Other checks hang, and the report still has a line for each."""

    async def hang(_: Settings) -> Findings:
        await asyncio.Event().wait()
        yield [ok("never", "")]

    checks = [Check("group", f"check {number}", hang, connects=True) for number in range(CONNECTIONS + 2)]
    report = await examine(Settings(), timeout_sec=0.05, checks=checks)
    assert [one.check for one in report.diagnoses] == [check.name for check in checks]
    assert {one.health for one in report.diagnoses} == {"fail"}
