"""`make pin-images`: digests and commits are looked up, all or none are written, and stale pins are named."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from deploy.pins import __main__ as program
from deploy.pins import places, table
from deploy.pins.registry import Sources
from deploy.pins.table import Pin, PinError

SERVER, OTHER = (json.dumps({"manifests": [name]}).encode() for name in ("server", "other"))
TABLE = """\
# kept
[images.server]
name = "server"
version = "1.2.3-slim"   # why
line = "1.2"
supported_until = 2027-01-31
pin = ""

[images.other]
name = "maker/other"
version = "v4.5"
line = "4"
pin = ""

[actions.checkout]
name = "actions/checkout"
version = "v7.0.1"
line = "7"
pin = ""
"""
COMPOSE = "services:\n  a:\n    image: maker/other:v4.4\n  b:\n    image: maker/otherwise:v4.4\n"
DOCKERFILE = "FROM server:1.2.0-slim AS build\nFROM server:1.2.0-slim\n"
WORKFLOW = "steps:\n  - uses: actions/checkout@v4\n  - name: x\n    uses: actions/checkout@v4 # old\n"


class Registry(BaseHTTPRequestHandler):
    """A registry with two images that sends clients without a token to get one."""

    manifests: ClassVar[dict[str, bytes]] = {}
    tags: ClassVar[dict[str, list[str]]] = {}
    told: ClassVar[str | None] = None
    closed: ClassVar[bool] = False

    def do_GET(self) -> None:
        here = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]  # an HTTPServer has one
        path, _, query = self.path.partition("?")
        if path == "/token":
            return self._say(200, b'{"token": "let-me-in"}')
        if self.closed or self.headers.get("Authorization") != "Bearer let-me-in":
            challenge = f'Bearer realm="{here}/token",service="here",scope="repository:x:pull"'
            return self._say(401, b"{}", {"WWW-Authenticate": challenge})
        if path.endswith("/tags/list"):
            names = self.tags.get(path.removeprefix("/v2/").removesuffix("/tags/list"), [])
            # Two pages, each with its own URL.
            if "last" in query:
                return self._say(200, json.dumps({"tags": names[1:]}).encode())
            return self._say(200, json.dumps({"tags": names[:1]}).encode(), {"Link": f'<{path}?last=x>; rel="next"'})
        body = self.manifests.get(path)
        if body is None:
            return self._say(404, b"{}")
        digest = self.told or f"sha256:{hashlib.sha256(body).hexdigest()}"
        return self._say(200, body, {"Docker-Content-Digest": digest})

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        return None


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a registry on loopback."""
    manifests = {"/v2/library/server/manifests/1.2.3-slim": SERVER, "/v2/maker/other/manifests/v4.5": OTHER}
    tags = {"library/server": ["1.2.3-slim", "1.2.3"], "maker/other": ["v4.5", "v4"]}
    for name, value in {"manifests": manifests, "tags": tags, "told": None, "closed": False}.items():
        monkeypatch.setattr(Registry, name, value)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def git(place: Path, *words: str) -> str:
    named = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *named, "-C", str(place), *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def github(tmp_path: Path) -> Path:
    """A directory in GitHub's place, with an action of two tags, one of them annotated."""
    place = tmp_path / "github" / "actions" / "checkout"
    place.mkdir(parents=True)
    git(place, "init", "-q")
    for tag in ("v7.0.0", "v7.0.1"):
        git(place, "commit", "-q", "--allow-empty", "-m", tag)
        git(place, "tag", *(["-a", "-m", tag] if tag == "v7.0.1" else []), tag)
    return tmp_path / "github"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a table and the files that use it."""
    place = tmp_path / "checkout"
    (place / ".github" / "workflows").mkdir(parents=True)
    files = {
        "pins.toml": TABLE,
        "docker-compose.yml": COMPOSE,
        "Dockerfile": DOCKERFILE,
        ".github/workflows/w.yml": WORKFLOW,
    }
    for name, text in files.items():
        (place / name).write_text(text)
    read, write, found = table.read, table.write, places.files
    monkeypatch.setattr(table, "read", lambda: read(place / "pins.toml"))
    monkeypatch.setattr(table, "write", lambda looked_up: write(looked_up, place / "pins.toml"))
    monkeypatch.setattr(places, "files", lambda: found(place))
    return place


def call(registry: str, github: Path, *words: str) -> int:
    return program.main(["--registry", registry, "--github", str(github), *words])


def contents(place: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in place.rglob("*") if path.is_file()}


def test_what_was_looked_up_is_written_everywhere(registry: str, github: Path, checkout: Path) -> None:
    """Index digests and commits of annotated tags are written, the rest stays, and a second run changes nothing."""
    assert call(registry, github) == 0
    commit = git(github / "actions" / "checkout", "rev-list", "-n1", "v7.0.1").strip()
    server, other = (f"sha256:{hashlib.sha256(body).hexdigest()}" for body in (SERVER, OTHER))
    written = contents(checkout)
    pinned = iter([server, other, commit])
    assert written["pins.toml"] == "".join(
        f'pin = "{next(pinned)}"\n' if line == 'pin = ""\n' else line for line in TABLE.splitlines(keepends=True)
    )
    assert written["docker-compose.yml"] == COMPOSE.replace("maker/other:v4.4", f"maker/other:v4.5@{other}")
    assert written["Dockerfile"] == DOCKERFILE.replace("1.2.0-slim", f"1.2.3-slim@{server}")
    assert written["w.yml"] == WORKFLOW.replace("v4 # old", "v4").replace("@v4", f"@{commit} # v7.0.1")
    assert call(registry, github, "--check") == 0
    assert call(registry, github) == 0
    assert contents(checkout) == written


def test_nothing_is_written_unless_all_was_looked_up(
    registry: str, github: Path, checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing, closed or false registry, a single-platform manifest or a missing tag gives exit code 3."""
    before = contents(checkout)
    for change, told in (
        ({"manifests": {}}, "the registry answers 404"),
        ({"closed": True}, "the registry answers 401"),
        ({"told": "sha256:" + "0" * 64}, "the registry names the digest sha256:0000"),
        ({"manifests": dict.fromkeys(Registry.manifests, b'{"layers": []}')}, "is no index of platforms"),
        ({"manifests": dict.fromkeys(Registry.manifests, b"<html>")}, "the answer is no JSON"),
    ):
        with monkeypatch.context() as patch:
            for name, value in change.items():
                patch.setattr(Registry, name, value)
            assert call(registry, github) == 3, change
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert told in said
        assert said.count("\n") == 1
    for arguments, told in (
        (("http://127.0.0.1:1", github), "can't reach 127.0.0.1:1"),
        ((registry, github / "nowhere"), "git ls-remote --tags"),
        (("http://registry.example", github), "neither HTTPS nor this machine"),
    ):
        assert call(*arguments) == 3
        assert told in capsys.readouterr().err
    git(github / "actions" / "checkout", "tag", "-d", "v7.0.1")
    assert call(registry, github) == 3
    assert "has no tag v7.0.1: correct the table" in capsys.readouterr().err
    assert contents(checkout) == before


def test_a_check_names_what_is_not_pinned_stale_or_out_of_support(
    registry: str, github: Path, checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 1, and no file changes."""
    assert call(registry, github, "--check") == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{name}: not pinned: run make pin-images"
        for name in ("server:1.2.3-slim", "maker/other:v4.5", "actions/checkout@v7.0.1")
    ]
    assert contents(checkout)["pins.toml"] == TABLE
    assert call(registry, github) == 0
    monkeypatch.setitem(Registry.manifests, "/v2/maker/other/manifests/v4.5", SERVER)
    monkeypatch.setitem(Registry.tags, "library/server", ["1.2.4-slim", "1.2.9", "1.3.0-slim", "1.2.10-slim", "latest"])
    git(github / "actions" / "checkout", "tag", "v7.1.0")
    assert call(registry, github, "--check") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "server:1.2.3-slim: 1.2.10-slim is there: change the table, then run make pin-images"
    assert lines[1].startswith("maker/other:v4.5: pinned to sha256:")
    assert lines[1].endswith(" by now: run make pin-images")
    assert lines[2] == "actions/checkout:v7.0.1: v7.1.0 is there: change the table, then run make pin-images"
    assert len(lines) == 3
    found = list(program.problems(table.read()[:1], Sources(registry, str(github)), date(2027, 2, 1)))
    assert found[-1] == "server:1.2.3-slim: support of 1.2 ended on 2027-01-31: change the line"


SKOPEO = """#!/bin/sh
case "$*" in
  "inspect --raw docker://server:1.2.3-slim") printf '%s' '{"manifests": []}' ;;
  "list-tags docker://server") echo '{"Tags": ["1.2.3-slim", "1.2.4-slim"]}' ;;
  *) echo "reading manifest: denied" >&2; exit 1 ;;
esac
"""


def test_without_a_registry_skopeo_is_asked(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """skopeo uses the user's registry configuration; if it is not installed, the error explains how to."""
    server, other, _ = table.read()
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    (programs / "skopeo").write_text(SKOPEO)
    (programs / "skopeo").chmod(0o755)
    assert Sources().look_up(server) == "sha256:" + hashlib.sha256(b'{"manifests": []}').hexdigest()
    assert server.newer(Sources().versions(server)) == "1.2.4-slim"
    with pytest.raises(PinError, match=r"docker://maker/other:v4\.5 failed \(reading manifest: denied\)"):
        Sources().look_up(other)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PinError, match="skopeo is not installed: install it, or name a registry"):
        Sources().look_up(server)


PIN = Pin("images", "k", "n", "v3.13.2", "3.13", "")


@pytest.mark.parametrize(
    ("changed", "there", "newest"),
    [
        ({}, ["v3.13.1", "v3.13.2", "v3.14.0", "v3.13"], None),
        ({}, ["v3.13.3", "v3.13.10", "v3.13.9-rc.1", "main"], "v3.13.10"),
        ({"version": "18.6", "line": "18"}, ["18", "18.7", "18.7-alpine", "19.0"], "18.7"),
        ({"version": "v0.34.0", "line": "0"}, ["v0.9.9", "v0.35.0", "v1.0.0"], "v0.35.0"),
        ({"version": "4.3.1", "line": "4.3"}, ["4.30.1", "4.4.0"], None),
    ],
)
def test_newer_is_what_belongs_to_the_line(changed: dict[str, str], there: list[str], newest: str | None) -> None:
    """Versions compare by number, within one variant and with the same precision."""
    assert replace(PIN, **changed).newer(there) == newest  # type: ignore[arg-type]  # only texts


def test_a_made_up_pin_is_refused(tmp_path: Path) -> None:
    """An invalid digest was never looked up."""
    path = tmp_path / "pins.toml"
    path.write_text(TABLE.replace('pin = ""', 'pin = "sha256:0123"', 1))
    with pytest.raises(PinError, match=r"pins\.toml: server: 'sha256:0123' is no digest or commit"):
        table.read(path)
