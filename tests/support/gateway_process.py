"""A real `bridge gateway` as a process of its own, on a port that it keeps when it is started again."""

import subprocess
from collections.abc import Mapping

import aiohttp

from bridge.stack.ports import choose
from support.command import start
from support.wait import wait_until

START_SECONDS = 60
STOP_SECONDS = 30


class GatewayProcess:
    """Started and stopped as a test needs it; the address stays the same."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        port = choose(asked=None, remembered=None, taken=(), purpose="the gateway")
        self._settings = {**settings, "BRIDGE_GATEWAY_PORT": str(port)}
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{port}"

    async def start(self) -> None:
        """Returns when it is ready."""
        self._process = process = start("gateway", settings=self._settings, quiet=True)

        async def ready() -> bool:
            assert process.poll() is None, f"the gateway ended with {process.poll()}"
            try:
                async with aiohttp.ClientSession() as session, session.get(f"{self.url}/ready") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await wait_until(ready, budget_seconds=START_SECONDS, describe="the gateway to be ready")

    def kill(self) -> None:
        """Without a chance to drain."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None

    def stop(self) -> None:
        """Drains; what still runs after half a minute is killed."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            finally:
                self.kill()
