"""The admin port of the gateway and the API: operators' paths are answered there only."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx
import pytest
from support.processes.api import api
from support.processes.gateway import Gateway, free_port, gateway
from support.wait import wait_until

from bridge.http.admin_port import ADMIN_PATHS
from schemas.config.settings import Settings, load_settings
from schemas.errors import InvalidInput

Service = Callable[..., AbstractContextManager[Gateway]]
PUBLIC = {"gateway": ("POST", "/api/bridge/s1/events"), "api": ("GET", "/v1/me")}
SERVICES = [("gateway", gateway, {}), ("gateway", gateway, {"gateway_processes": 2}), ("api", api, {})]


def status(url: str, method: str = "GET") -> int:
    return httpx.request(method, url, timeout=20).status_code


@pytest.mark.parametrize(("name", "run", "more"), SERVICES, ids=["gateway", "processes", "api"])
async def test_each_port_answers_its_own_paths(
    name: str, run: Service, more: dict[str, object], settings: Settings, tmp_path: Path
) -> None:
    """Each port answers 404 for the other's paths in every spelling; both answer liveness."""
    port = free_port()
    with run(settings, tmp_path / "log", **more, **{f"{name}_admin_port": port}) as found:
        admin = f"http://127.0.0.1:{port}"
        for path in ADMIN_PATHS:
            assert status(f"{admin}{path}") == 200, path
            for written in (path, f"{path}/", f"{path}?x=1", f"/%{ord(path[1]):x}{path[2:]}"):
                assert status(f"{found.url}{written}") == 404, written
        for url in (found.url, admin):
            assert status(f"{url}/health") == 200
        method, path = PUBLIC[name]
        assert status(f"{admin}{path}", method) == 404
        assert status(f"{found.url}{path}", method) == 401


@pytest.mark.parametrize(("name", "run"), [("gateway", gateway), ("api", api)])
async def test_one_port_answers_all_without_an_admin_port(
    name: str, run: Service, settings: Settings, tmp_path: Path
) -> None:
    """Without an admin port one port answers all paths, as in earlier releases."""
    with run(settings, tmp_path / "log") as found:
        assert {status(f"{found.url}{path}") for path in ADMIN_PATHS} == {200}


async def test_taken_connections_do_not_make_it_unready(settings: Settings, key: str, tmp_path: Path) -> None:
    """Probes and metrics are answered while requests in flight fill the public port's connections."""
    port = free_port()
    more = {
        "gateway_admin_port": port, "gateway_max_connections": 3, "gateway_address_connections_share": 1,
        "gateway_linger": "60s", "gateway_publish_timeout": "120s",
    }  # fmt: skip
    event = '{"event_id":"a"}'
    begun = (
        f"POST /api/bridge/s1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        f"content-length: {len(event)}\r\n\r\n{event}"
    )
    with gateway(settings, tmp_path / "log", **more) as found, ExitStack() as held:
        for _ in range(3):
            held.enter_context(socket.create_connection(found.address)).sendall(begun.encode())

        async def full() -> bool:
            return status(f"{found.url}/health") in (429, 503)

        await wait_until(full, budget_seconds=30, describe="no room at the public port")
        assert status(f"http://127.0.0.1:{port}/ready") == 200


@pytest.mark.parametrize("service", ["GATEWAY", "API"])
def test_the_same_port_twice_is_refused(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal ports are refused with the name of the setting."""
    monkeypatch.setenv(f"BRIDGE_{service}_PORT", "9000")
    monkeypatch.setenv(f"BRIDGE_{service}_ADMIN_PORT", "9000")
    with pytest.raises(InvalidInput, match=f"BRIDGE_{service}_ADMIN_PORT is BRIDGE_{service}_PORT"):
        load_settings()
