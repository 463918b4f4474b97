"""Faults of the broker: killed, restarted, frozen, down for a minute."""

import signal

from tools.faults.catalogue.base import Fault

KAFKA = frozenset({"kafka"})


class BrokerKilled(Fault):
    """SIGKILL of the broker; it is started again at the end."""

    name = "broker-killed"
    occupies = KAFKA
    seconds = (1.0, 6.0)
    how = signal.SIGKILL

    async def strike(self) -> None:
        self.world.servers.signal("kafka", self.how)
        await self.world.servers.ended("kafka")
        self.bites = 1

    async def mend(self) -> None:
        await self.world.servers.start_kafka()


class BrokerRestarted(BrokerKilled):
    """The broker is stopped by a clean shutdown and started again."""

    name = "broker-restarted"
    seconds = (0.2, 3.0)
    how = signal.SIGTERM


class BrokerAway(BrokerKilled):
    """The broker is killed and stays down for a minute."""

    name = "broker-away"
    seconds = (60.0, 60.0)
    quick = False


class BrokerFrozen(Fault):
    """SIGSTOP of the broker: connections stay open without responses; SIGCONT at the end."""

    name = "broker-frozen"
    occupies = KAFKA
    seconds = (2.0, 9.0)

    async def strike(self) -> None:
        self.world.servers.signal("kafka", signal.SIGSTOP)
        self.bites = 1

    async def mend(self) -> None:
        self.world.servers.signal("kafka", signal.SIGCONT)


FAULTS = [BrokerKilled, BrokerRestarted, BrokerAway, BrokerFrozen]
