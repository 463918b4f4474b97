"""The Python client of the gateway: `BridgeClient` for asyncio, `BlockingBridgeClient` for everything else.

It imports neither broker nor database nor framework of streams, and may be used by any program.
"""

from bridge.client.blocking import BlockingBridgeClient
from bridge.client.client import BridgeClient
from bridge.client.errors import BufferFull, NotDelivered, Undelivered
from bridge.client.options import Options
from bridge.client.state import DeliveryState

__all__ = [
    "BlockingBridgeClient",
    "BridgeClient",
    "BufferFull",
    "DeliveryState",
    "NotDelivered",
    "Options",
    "Undelivered",
]
