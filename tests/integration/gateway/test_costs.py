"""A visitor's most expensive bodies, sequential and concurrent: another script's server is served throughout."""

import asyncio
from pathlib import Path

import httpx
from support.processes.gateway import ORIGIN, bearer, body, gateway, raw_records

from bench.rig.dear_bodies import dear_bodies
from schemas.config.settings import Settings
from sinks.postgres.registry.admin import add_script
from sinks.postgres.tokens.script_tokens import create_token

AT_ONCE = 10


async def test_dear_bodies_of_a_visitor_refuse_nobody_else(settings: Settings, tmp_path: Path) -> None:
    """Other requests get no 503, although such bodies once blocked the loop for longer than the wait for Kafka."""
    await add_script(settings.dsn, "s1", 1, origins=[ORIGIN])
    other = bearer((await create_token(settings.dsn, "s2")).text)
    statuses: list[int] = []
    attacked: set[int] = set()
    with gateway(settings, tmp_path / "log", gateway_publish_timeout="30s") as found:
        async with httpx.AsyncClient(base_url=found.url, timeout=60) as client:
            token = (await client.post("/bridge/s1/token", headers={"origin": ORIGIN})).json()["token"]
            visitor = bearer(token) | {"origin": ORIGIN}
            for one in dear_bodies().values():
                attack = asyncio.gather(
                    *(
                        client.post(one.path("s1"), content=one.content, headers=visitor | one.headers())
                        for _ in range(AT_ONCE)
                    )
                )
                while not attack.done():
                    event = body({"event_id": f"own-{len(statuses)}"})
                    statuses.append(
                        (await client.post("/api/bridge/s2/events", content=event, headers=other)).status_code
                    )
                    assert (await client.get("/health")).status_code == 200
                    await asyncio.wait([attack], timeout=0.05)
                attacked |= {answer.status_code for answer in await attack}
    assert set(statuses) == {202}
    assert attacked <= {200, 202, 400, 413, 422, 429}
    assert {413, 429} <= attacked
    own = [record for record in await raw_records(settings) if record.value.startswith(b'{"event_id": "own-')]
    assert len(own) == len(statuses)
