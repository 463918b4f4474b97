"""The client for programs without an event loop. It runs an event loop in a thread of its own."""

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, Self, TypeVar

from bridge.client.client import FLUSH_SECONDS, BridgeClient
from bridge.client.errors import noted_in
from bridge.client.options import Options
from bridge.client.state import DeliveryState
from schemas.errors import InvalidInput

T = TypeVar("T")

log = logging.getLogger(__name__)


class BlockingBridgeClient:
    """BridgeClient with plain methods, which every thread may call. After a fork, the child needs a new client."""

    def __init__(self, url: str, script_id: str, api_key: str, options: Options | None = None) -> None:
        self._client = BridgeClient(url, script_id, api_key, options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bridge-client", daemon=True)
        self._ending = threading.Lock()
        self._process = os.getpid()
        self._thread.start()
        atexit.register(self._left_open)

    @property
    def state(self) -> DeliveryState:
        """The same as BridgeClient.state."""
        return self._client.state

    def track(self, event_type: str, properties: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """The same as BridgeClient.track."""
        return self._run(self._client.track(event_type, properties, **fields))

    def send(self, event: Mapping[str, Any]) -> str:
        """The same as BridgeClient.send."""
        return self._run(self._client.send(event))

    def flush(self, timeout: float = FLUSH_SECONDS) -> None:
        """The same as BridgeClient.flush."""
        self._run(self._client.flush(timeout))

    def close(self, timeout: float = FLUSH_SECONDS) -> None:
        """The same as BridgeClient.close; also ends the thread."""
        self._check_process()
        with self._ending:
            if self._loop.is_closed():
                return
            atexit.unregister(self._left_open)
            try:
                self._run(self._client.close(timeout))
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()

    def __enter__(self) -> Self:
        self._run(self._client.__aenter__())
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with noted_in(error):
            self.close()

    def _left_open(self) -> None:
        """Warn about undelivered events if the program ends before the client was closed.

        The client's thread ends with the process, even during a delivery.
        """
        if os.getpid() == self._process and (pending := self._client.state.pending):
            log.warning("the client was not closed; %d events are not delivered", pending)

    def _check_process(self) -> None:
        # A fork does not copy the thread. No call would be answered, and closing the loop here would close the
        # parent's.
        if os.getpid() != self._process:
            raise InvalidInput(
                "the client was created by the parent before a fork; create another client in this process"
            )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            self._check_process()
            if self._loop.is_closed():
                raise InvalidInput("the client is closed")
        except InvalidInput:
            work.close()
            raise
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
