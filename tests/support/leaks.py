"""A plugin that reads the output of processes, logs and responses during tests; a secret in it fails the test.

Secrets are recognised by their form (API keys and ingest tokens), or by their value: the secrets of Settings and of the
environments of processes.
"""

import io
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
from pydantic import SecretStr

from schemas.api_key import PREFIX
from schemas.config.settings import Settings
from support.processes.warm_start import WarmProcess

FORMS = re.compile(rb"%b[0-9a-f]{12}_[0-9a-f]{64}|eyJ[\w-]{20,}\.[\w-]{20,}" % PREFIX.encode())
LONGEST = 1024
"""Bytes that are read again with the next ones, so that a secret that arrives in two pieces is found."""
SHORTEST = 12
"""A shorter value, or one of few different characters, may occur anywhere by chance."""
SECRET_VARIABLES = {
    f"{prefix}{name.upper()}"
    for name, field in Settings.model_fields.items()
    if "SecretStr" in str(field.annotation) or name == "database_url"
    for prefix in ("BRIDGE_", "GHOSTLINK_")
}


class Followed(NamedTuple):
    """A file that a process writes to."""

    where: str
    file: BinaryIO
    process: "subprocess.Popen[Any]"


class Watch:
    """The known secrets, the files that are read, and the secrets found."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._followed: list[Followed] = []
        self._found: list[str] = []

    def know(self, secret: str) -> None:
        """Add a secret value; of a URL, its password."""
        with suppress(ValueError):
            secret = urlsplit(secret).password or ("" if "://" in secret else secret)
        value = secret.encode()
        if len(value) >= SHORTEST and len(set(value)) > SHORTEST // 2:
            self._known.add(value)

    def know_environment(self, variables: Mapping[str, str]) -> None:
        """Add the secrets of a process's environment."""
        for name in SECRET_VARIABLES & variables.keys():
            self.know(variables[name])

    def look(self, where: str, said: bytes) -> None:
        """Record the secrets in these bytes, shortened, with the place."""
        if FORMS.search(said) is None and not any(value in said for value in self._known):
            return
        secret = re.compile(b"|".join([FORMS.pattern, *map(re.escape, self._known)]))
        for match in secret.finditer(said):
            line = said[said.rfind(b"\n", 0, match.start()) + 1 : match.start()][-200:]
            told = secret.sub(b"***", where.encode() + b": " + line) + match[0][:6] + "…".encode()
            self._found.append(told.decode(errors="replace"))

    def follow(self, where: str, file: BinaryIO, process: "subprocess.Popen[Any]") -> None:
        """Read the file as it grows."""
        self._followed.append(Followed(where, file, process))

    def look_at_files(self) -> None:
        """Read the bytes that were written since the last time."""
        going_on = []
        for one in self._followed:
            # The owner of the process sets `returncode` by its wait; a poll here would reap the process first.
            ended = one.process.returncode is not None
            said = one.file.read()
            self.look(one.where, said)
            if ended:
                one.file.close()
            else:
                one.file.seek(-min(LONGEST, len(said)), os.SEEK_CUR)
                going_on.append(one)
        self._followed = going_on

    def take(self) -> list[str]:
        """Return and clear the findings since the last call."""
        found, self._found = self._found, []
        return list(dict.fromkeys(found))


WATCH = Watch()


class HeardPipe(io.RawIOBase):
    """A process's pipe whose content is also searched for secrets."""

    def __init__(self, where: str, raw: io.RawIOBase) -> None:
        self._where = where
        self._raw = raw
        self._tail = b""

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        if count:
            said = self._tail + bytes(memoryview(buffer)[:count])
            WATCH.look(self._where, said)
            self._tail = said[-LONGEST:]
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class HeardProcess(WarmProcess):
    """A process whose output is searched for secrets: pipes, files, and a temporary file instead of DEVNULL."""

    def __init__(self, args: Any, *more: Any, **options: Any) -> None:
        words = (
            [str(word) for word in args] if isinstance(args, Sequence) and not isinstance(args, str) else [str(args)]
        )
        WATCH.know_environment(options.get("env") or os.environ)
        self._where = f"output of `{' '.join(words)[:300]}`"
        self._heard = not shows_a_key(words)
        instead: dict[str, Any] = {}
        files: list[BinaryIO] = []
        if self._heard:
            for name in ("stdout", "stderr"):
                target = options.get(name)
                if target == subprocess.DEVNULL:
                    target = instead[name] = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
                files += _opened(target)
        super().__init__(args, *more, **options | instead)
        for file in instead.values():
            file.close()
        for file in files:
            WATCH.follow(self._where, file, self)
        if self._heard:
            for name in ("stdout", "stderr"):
                if options.get(name) == subprocess.PIPE:
                    setattr(self, name, self._read_along(getattr(self, name)))

    def _read_along(self, pipe: Any) -> Any:
        if not isinstance(pipe, io.TextIOWrapper):
            if not isinstance(pipe, io.BufferedReader):
                return HeardPipe(self._where, pipe)
            return io.BufferedReader(HeardPipe(self._where, pipe.detach()))
        encoding, errors = pipe.encoding, pipe.errors
        return io.TextIOWrapper(self._read_along(pipe.detach()), encoding=encoding, errors=errors)

    def communicate(self, input: Any = None, timeout: float | None = None) -> Any:  # noqa: A002 - as the original has it
        said = super().communicate(input, timeout)
        for one in said:
            if one and self._heard:
                WATCH.look(self._where, one if isinstance(one, bytes) else one.encode(errors="replace"))
        return said


def shows_a_key(words: Iterable[str]) -> bool:
    """Whether the command's purpose is to show a key: a new one, or the one for webhook receivers."""
    return {"token", "create"} <= set(words) or {"keys", "show"} <= set(words)


def _opened(target: Any) -> list[BinaryIO]:
    """Open the file that a process writes to once more for reading; [] if the target is not a file."""
    if target in (None, subprocess.PIPE, subprocess.STDOUT):
        return []
    path = f"/proc/self/fd/{target if isinstance(target, int) else target.fileno()}"
    # To read a pipe here would take the bytes from its reader.
    return [open(path, "rb")] if Path(path).is_file() else []  # noqa: PTH123 - closed when the process has ended


def _hear_answer(url: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Search the response of any server, such as problems, figures and receipts; the token route returns a secret."""
    if status != 200 or not urlsplit(url).path.endswith("/token"):
        said = "\n".join([*headers.values(), ""]).encode(errors="replace") + body
        WATCH.look(f"answer {status} of {urlsplit(url).path}", said)


def hear_everything() -> None:
    """Search from now on the output of this process and of all processes that it starts."""
    subprocess.Popen = HeardProcess  # type: ignore[misc]
    made, read, read_later, read_other = (
        Settings.__init__, httpx.Response.read, httpx.Response.aread, aiohttp.ClientResponse.read,
    )  # fmt: skip

    def make(self: Settings, *arguments: Any, **given: Any) -> None:
        made(self, *arguments, **given)
        for value in dict(self).values():
            if isinstance(value, SecretStr):
                WATCH.know(value.get_secret_value())

    def hear(self: httpx.Response) -> bytes:
        body = read(self)
        _hear_answer(str(self.url), self.status_code, self.headers, body)
        return body

    async def hear_later(self: httpx.Response) -> bytes:
        body = await read_later(self)
        _hear_answer(str(self.url), self.status_code, self.headers, body)
        return body

    async def hear_other(self: aiohttp.ClientResponse) -> bytes:
        body = await read_other(self)
        _hear_answer(str(self.url), self.status, self.headers, body)
        return body

    changed: list[tuple[type, str, Callable[..., Any]]] = [
        (Settings, "__init__", make), (httpx.Response, "read", hear), (httpx.Response, "aread", hear_later),
        (aiohttp.ClientResponse, "read", hear_other),
    ]  # fmt: skip
    for kind, name, method in changed:
        setattr(kind, name, method)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Fail the test during which a secret was found."""
    report = yield
    for name, said in report.sections:
        WATCH.look(name, said.encode(errors="replace"))
    if report.when == "teardown":
        WATCH.look_at_files()
    if found := WATCH.take():
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} let out a secret:\n" + "\n".join(found[:20])
    return report
