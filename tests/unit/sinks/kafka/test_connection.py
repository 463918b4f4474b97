"""Gaps of aiokafka that patches close: commits without a caller, and needless SCRAM rounds."""

import asyncio
import gc
import subprocess
import sys

import pytest
from aiokafka.conn import ScramAuthenticator
from aiokafka.errors import AuthenticationFailedError, GroupCoordinatorNotAvailableError

from sinks.kafka.connection import _retrieved, bound_scram


async def test_a_commit_that_fails_after_its_caller_gave_up_is_nobodys_error() -> None:
    """aiokafka shields the commit from its caller's cancellation."""
    goes_on, ended = asyncio.Event(), asyncio.Event()
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    async def commit(_coordinator: object) -> None:
        await goes_on.wait()
        ended.set()
        raise GroupCoordinatorNotAvailableError("away")

    caller = asyncio.create_task(asyncio.wait_for(asyncio.shield(_retrieved(commit)(None)), 0.01))
    await asyncio.wait([caller])
    assert isinstance(caller.exception(), TimeoutError)
    goes_on.set()
    await ended.wait()
    await asyncio.sleep(0)
    gc.collect()
    assert told == []


def authenticator() -> ScramAuthenticator:
    bound_scram()
    return ScramAuthenticator(
        loop=asyncio.get_running_loop(),
        sasl_plain_password="secret",
        sasl_plain_username="worker",
        sasl_mechanism="SCRAM-SHA-512",
    )


@pytest.mark.parametrize(
    "first",
    ["r={nonce}x,s=c2FsdA==,i=100001", "r={nonce}x,s=c2FsdA==", "r={nonce}x,s=c2FsdA==,i=4096,i=100001", ""],
    ids=["many", "none", "twice", "empty"],
)
async def test_a_broker_has_no_client_compute_what_no_broker_asks_for(first: str) -> None:
    """aiokafka would compute two billion rounds in one step and block the process."""
    client = authenticator()
    said, _ = await client.step(None)
    with pytest.raises(AuthenticationFailedError, match="nothing was computed"):
        await client.step(first.format(nonce=said.decode().rpartition("r=")[2]).encode())


@pytest.mark.parametrize("first", [b"r=another,s=c2FsdA==,i=4096", b"\xff"], ids=["nonce", "bytes"])
async def test_a_broker_that_speaks_no_scram_is_refused_as_others_are(first: bytes) -> None:
    """aiokafka expects this error and tries the next broker."""
    client = authenticator()
    await client.step(None)
    with pytest.raises(AuthenticationFailedError):
        await client.step(first)


async def test_a_broker_that_asks_as_brokers_do_is_answered() -> None:
    client = authenticator()
    said, _ = await client.step(None)
    nonce = said.decode().rpartition("r=")[2]
    answer, _ = await client.step(f"r={nonce}x,s=c2FsdA==,i=16384".encode())
    assert answer.startswith(f"c=biws,r={nonce}x,p=".encode())
    with pytest.raises(AuthenticationFailedError, match="signature"):
        await client.step(b"v=c2FsdA==")


@pytest.mark.parametrize(
    "module", ["sinks.kafka.publisher", "sinks.kafka.admin", "streams.source.kafka", "bridge.jobs.replay_topic"]
)
def test_whoever_makes_a_client_has_it_bounded(module: str) -> None:
    look = (
        f"import {module}; from aiokafka.conn import ScramAuthenticator as one; assert hasattr(one.step, '__wrapped__')"
    )
    subprocess.run([sys.executable, "-c", look], check=True)
