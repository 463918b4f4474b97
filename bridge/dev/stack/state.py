"""The recorded state of a stack in its directory, and the lock under which the state is changed."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec

from bridge.dev.stack.credentials import Credentials
from bridge.dev.stack.private import accessible, refuse_stranger, write_private
from bridge.dev.stack.process import Identity
from schemas.errors import PreconditionFailed

FILE_NAME = "stack.json"
LOCK_NAME = "stack.lock"


@dataclass(frozen=True)
class ServerState:
    """The port of a server, and its process if it was launched."""

    port: int
    pid: int | None = None
    created: float = 0.0
    started: str = ""

    def identity(self) -> Identity | None:
        """Return the identity of the launched process."""
        return None if self.pid is None else Identity(self.pid, self.created, self.started)

    def alive(self) -> bool:
        """Return whether the launched process still runs."""
        identity = self.identity()
        return identity is not None and identity.alive()

    def alive_pid(self) -> int | None:
        """Return the pid of the launched process if it still runs."""
        return self.pid if self.alive() else None


@dataclass(frozen=True)
class StackState:
    """The content of stack.json."""

    kafka: ServerState
    postgres: ServerState
    controller_port: int
    # An earlier release recorded no passwords. Its server trusts every client until the next start.
    credentials: Credentials = field(default_factory=Credentials.new)
    owner: Identity | None = None
    supervisor_pid: int | None = None
    ready: bool = False

    def running(self) -> bool:
        """Return whether both servers were started completely, still run, and are not being stopped."""
        # If the owner is dead, the servers still answer while their supervisor stops them.
        abandoned = self.owner is not None and not self.owner.alive()
        return self.ready and self.kafka.alive() and self.postgres.alive() and not abandoned


def read(directory: Path) -> StackState | None:
    """Return the recorded state of the stack in this directory; None if there is none.

    Recorded processes that are not this directory's servers (any more) are left out.
    """
    path = directory / FILE_NAME
    try:
        with accessible(path):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, encoding="utf-8") as file:
                refuse_stranger(path, os.fstat(handle))
                found = msgspec.json.decode(file.read(), type=StackState)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise PreconditionFailed(
            f"can't read {path} ({error}); end the stack's processes, then delete this file"
        ) from error
    return replace(
        found,
        kafka=_living(found.kafka, directory / "kafka" / "server.properties"),
        postgres=_living(found.postgres, directory / "postgres" / "data"),
    )


def _living(saved: ServerState, own: Path) -> ServerState:
    """Remove the recorded process unless it lives and its command line contains the path `own`.

    The file of the state is not trusted.
    """
    identity = saved.identity()
    return saved if identity is not None and identity.was_given(own) else ServerState(saved.port)


def exists(directory: Path) -> bool:
    """Return whether a state is recorded; raises PreconditionFailed if this account can't read the directory."""
    with accessible(directory):
        return (directory / FILE_NAME).exists()


def write(directory: Path, state: StackState) -> None:
    """Replace the recorded state atomically. Only this account can read the file, which contains the passwords."""
    path = directory / FILE_NAME
    fresh = path.with_name(f".{FILE_NAME}.new")
    write_private(fresh, json.dumps(asdict(state), indent=2) + "\n")
    fresh.replace(path)


@contextmanager
def locked(directory: Path, *, timeout_seconds: float) -> Iterator[None]:
    """Hold the lock of the directory within the block. If the holder dies, the system releases the lock."""
    path = directory / LOCK_NAME
    deadline = time.monotonic() + timeout_seconds
    while (handle := _try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise PreconditionFailed(
                f"another start or stop has held the lock {path} for {timeout_seconds:g} s; wait until it has ended"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(handle)


def _try_lock(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A purge may have deleted the file after it was opened and before it was locked.
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None
