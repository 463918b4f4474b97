"""Records that no client can read, sent by a foreign client."""

import asyncio

from schemas.config.settings import Settings
from support.processes.programs import python, run

# aiokafka's compiled records accept only str as header names; its Python ones accept any object with `encode`.
FOREIGN_CLIENT = """
import asyncio, sys
from aiokafka import AIOKafkaProducer
class NotUtf8(str):
    def encode(self, *_):
        return bytes([255, 254])
async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1], linger_ms=500) as producer:
        names = [NotUtf8("x") if kind == "bad" else "x" for kind in sys.argv[3:]]
        values = [b"{%d" % number for number in range(len(names))]
        sent = [
            await producer.send(sys.argv[2], value, key=b"total", partition=0, headers=[(name, b"x")])
            for name, value in zip(names, values)
        ]
        await asyncio.gather(*sent)
asyncio.run(main())
"""


async def send_unreadable(settings: Settings, *kinds: str, topic: str = "") -> None:
    """Send one batch of `good` and `bad` records, neither of them JSON, to partition 0 of the raw topic or another."""
    client = python(FOREIGN_CLIENT, settings.brokers, topic or settings.topics.raw, *kinds)
    sent = await asyncio.to_thread(run, client, changed={"AIOKAFKA_NO_EXTENSIONS": "1"})
    assert sent.returncode == 0, sent.stderr
