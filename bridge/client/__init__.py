"""The Python client of the gateway: `BridgeClient` for asyncio, `BlockingBridgeClient` for other programs.

It imports no broker, database or stream framework, so every program can use it.
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
