"""Records that no client can read, from a client that is not ours."""

import asyncio

from schemas.config.settings import Settings
from support.processes.programs import python, run

# aiokafka's compiled records take no names but text; its Python ones take whatever encodes itself.
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
    """One batch to partition 0 of the raw topic, or another, of records that are `good` or `bad`, neither of them JSON."""
    client = python(FOREIGN_CLIENT, settings.brokers, topic or settings.topics.raw, *kinds)
    sent = await asyncio.to_thread(run, client, changed={"AIOKAFKA_NO_EXTENSIONS": "1"})
    assert sent.returncode == 0, sent.stderr
