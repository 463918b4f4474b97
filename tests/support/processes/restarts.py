"""A gateway that is restarted at the same address, as by a deployment or after a crash."""

import secrets
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL

from bridge.dev.stack.ports import choose
from schemas.config.settings import Settings
from support.processes.gateway import Gateway, gateway


class RestartedGateway:
    """A gateway that a test starts, kills and stops; `more` are its additional settings."""

    def __init__(self, settings: Settings, directory: Path, **more: object) -> None:
        port = choose(asked=None, remembered=None, taken=(), purpose="the gateway")
        self._settings = settings
        self._log = directory / f"gateway-{secrets.token_hex(3)}.log"
        self._more = {"gateway_port": port, **more}
        self._running = ExitStack()
        self._gateway: Gateway | None = None
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Start it; return when it responds."""
        self._gateway = self._running.enter_context(gateway(self._settings, self._log, **self._more))

    def kill(self) -> None:
        """Kill it by SIGKILL, without a drain."""
        self._end(SIGKILL)

    def stop(self) -> None:
        """Stop it with a drain."""
        self._end(None)

    def memory_mb(self) -> float:
        """Resident memory of the running process."""
        assert self._gateway is not None, "start() comes first"
        return self._gateway.memory_mb()

    def _end(self, signal: int | None) -> None:
        if self._gateway is not None:
            try:
                self._gateway.stop(*(() if signal is None else (signal,)))
            finally:
                self._gateway = None
                self._running.close()
