"""A listener of a test in front of a server, which forwards, refuses or changes the traffic."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from bridge.dev.stack.ports import LOOPBACK

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def front(serve: Serve) -> AsyncIterator[int]:
    """Listen and yield the port; a connection is closed when `serve` returns, and none outlives the block."""
    served: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served[writer] = asyncio.current_task()
        # The other side may disconnect at any time.
        with suppress(OSError, EOFError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(kept, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        tasks = [task for task in served.values() if task is not None]
        for task in tasks:
            task.cancel()
        for writer in served:
            # Aborted, not closed: TLS would wait for the other side's close_notify.
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


async def lead_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Forward bytes in both directions until both sides have ended."""
    inner_reader, inner_writer = await asyncio.open_connection(host, port)
    await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
