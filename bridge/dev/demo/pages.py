"""Pages of the demonstration's sites. They fetch tokens and post batches to the gateway, as browsers do."""

import asyncio
import time
from typing import Final

import aiohttp

from schemas.errors import SinkUnavailable

_BATCH_EVENTS: Final = 100
_BATCH_BYTES: Final = 512 * 1024
_AT_ONCE: Final = 8
_POST_SECONDS: Final = 60
_TOKEN_SECONDS: Final = 600.0
_ACCEPTED: Final = 202


def origin_of(script_id: str) -> str:
    """Return the origin of the script's pages."""
    return f"https://{script_id}.example.com"


class Pages:
    """Sends events of registered scripts; `acknowledged` is the number of accepted events.

    Create it in a running loop.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_POST_SECONDS))
        self._open: dict[str, list[bytes]] = {}
        self._sent: set[asyncio.Task[None]] = set()
        self._tokens: dict[str, tuple[str, float]] = {}
        self.acknowledged = 0

    async def add(self, script_id: str, value: bytes) -> None:
        """Add one event; raises SinkUnavailable if the gateway has refused an earlier event."""
        lines = self._open.setdefault(script_id, [])
        lines.append(value)
        if len(lines) >= _BATCH_EVENTS or sum(map(len, lines)) >= _BATCH_BYTES:
            await self._submit(script_id)

    async def settle(self) -> None:
        """Wait until the gateway has accepted all events; raises SinkUnavailable if it has refused an event."""
        for script_id in list(self._open):
            await self._submit(script_id)
        await asyncio.gather(*self._sent)

    async def close(self) -> None:
        """Cancel the posts in flight."""
        for task in self._sent:
            task.cancel()
        await asyncio.gather(*self._sent, return_exceptions=True)
        await self._session.close()

    async def _submit(self, script_id: str) -> None:
        while len(self._sent) >= _AT_ONCE:
            done, self._sent = await asyncio.wait(self._sent, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        self._sent.add(asyncio.create_task(self._post(script_id, self._open.pop(script_id))))

    async def _post(self, script_id: str, lines: list[bytes]) -> None:
        headers = {"Content-Type": "application/x-ndjson", "Origin": origin_of(script_id)}
        try:
            headers["Authorization"] = f"Bearer {await self._token(script_id)}"
            path = f"{self._url}/api/bridge/{script_id}/events"
            async with self._session.post(path, data=b"\n".join(lines), headers=headers) as answer:
                said = await answer.json(content_type=None)
                # The events are not sent again: the expectation of the mix only contains duplicates of the mix itself.
                if answer.status != _ACCEPTED or said["accepted"] != len(lines):
                    raise SinkUnavailable(f"the gateway answered {answer.status} to {len(lines)} events: {said}"[:300])
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SinkUnavailable(f"the gateway at {self._url} does not answer: {error or 'too slow'}") from error
        self.acknowledged += len(lines)

    async def _token(self, script_id: str) -> str:
        text, until = self._tokens.get(script_id, ("", 0.0))
        if time.monotonic() > until:
            path = f"{self._url}/bridge/{script_id}/token"
            async with self._session.post(path, headers={"Origin": origin_of(script_id)}) as answer:
                answer.raise_for_status()
                text = (await answer.json())["token"]
            self._tokens[script_id] = (text, time.monotonic() + _TOKEN_SECONDS)
        return text
