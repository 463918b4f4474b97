"""Queries container registries and GitHub for the digest or commit of a version, and for all versions.

The source of images is the user's configuration of `skopeo`. A registry that is named explicitly is queried over plain
HTTPS with the API of the OCI distribution specification 1.1 instead. Actions are queried with `git ls-remote`. Only
names are sent.
"""

import hashlib
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from deploy.pins.table import Pin, PinError

GITHUB = "https://github.com"
_INDEX = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_SECONDS = 30
_MOST_BYTES = 16 << 20
_MOST_PAGES = 200
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_NEXT = re.compile(r'<([^>]+)>;\s*rel="?next"?')


@dataclass(frozen=True)
class Answer:
    """A response's headers, with names in lower case, and its body."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Sources:
    """The sources. Without a `registry` (the URL of one, or of a mirror) skopeo is used."""

    registry: str | None = None
    github: str = GITHUB

    def look_up(self, pin: Pin) -> str:
        """Return the version's current digest or commit. Raises PinError if it is not available or inconsistent."""
        return self._digest(pin) if pin.kind == "images" else self._commits(pin)[pin.version]

    def versions(self, pin: Pin) -> list[str]:
        """Return all versions."""
        return self._tags(pin) if pin.kind == "images" else list(self._commits(pin))

    def _digest(self, pin: Pin) -> str:
        if self.registry is None:
            body = _run("skopeo", "inspect", "--raw", f"docker://{pin.name}:{pin.version}").encode()
            place, told = f"{pin.name}:{pin.version}", None
        else:
            place = f"{self.registry}/v2/{_repository(pin)}/manifests/{pin.version}"
            found = _get(place, accept=", ".join(_INDEX))
            body, told = found.body, found.headers.get("docker-content-digest")
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if told not in (None, digest):
            raise PinError(
                f"{place}: the registry names the digest {told} and sent {digest}: trust neither, try again elsewhere"
            )
        if not isinstance(_parsed(body, place).get("manifests"), list):
            raise PinError(f"{place}: is no index of platforms, so that its digest would fit one machine only")
        return digest

    def _tags(self, pin: Pin) -> list[str]:
        if self.registry is None:
            listed = _run("skopeo", "list-tags", f"docker://{pin.name}")
            return list(_parsed(listed.encode(), pin.name).get("Tags") or [])
        url: str | None = f"{self.registry}/v2/{_repository(pin)}/tags/list?n=1000"
        tags: list[str] = []
        for _ in range(_MOST_PAGES):
            if url is None:
                return tags
            found = _get(url, accept="application/json")
            tags += _parsed(found.body, url).get("tags") or []
            following = _NEXT.search(found.headers.get("link", ""))
            url = urllib.parse.urljoin(url, following[1]) if following else None
        raise PinError(f"{self.registry}: {pin.name} has more than {_MOST_PAGES} pages of tags")

    def _commits(self, pin: Pin) -> dict[str, str]:
        url = f"{self.github}/{pin.name}"
        listed = _run("git", "ls-remote", "--tags", url)
        commits: dict[str, str] = {}
        for line in listed.splitlines():
            commit, _, name = line.partition("\trefs/tags/")
            # An annotated tag is listed twice: itself, and then with ^{} the commit that it refers to.
            commits[name.removesuffix("^{}")] = commit
        if pin.version not in commits:
            raise PinError(f"{url} has no tag {pin.version}: correct the table")
        return commits


def _run(*words: str) -> str:
    """Return the program's output; raises PinError with its last line if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - a command of this program, no shell
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        )
    except FileNotFoundError as error:
        raise PinError(f"{words[0]} is not installed: install it, or name a registry with --registry") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PinError(f"can't run {' '.join(words)} ({error}): check the network") from error
    if done.returncode != 0:
        told = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PinError(f"{' '.join(words)} failed ({told}): check the network")
    return done.stdout


def _parsed(body: bytes, place: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise PinError(f"{place}: the answer is no JSON ({error}): is this a registry?") from error
    return found if isinstance(found, dict) else {}


def _repository(pin: Pin) -> str:
    return pin.name if "/" in pin.name else f"library/{pin.name}"


def _get(url: str, *, accept: str, token: str | None = None) -> Answer:
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise PinError(f"{url}: neither HTTPS nor this machine")
    headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_SECONDS) as answer:  # noqa: S310 - see above
            body = answer.read(_MOST_BYTES)
            return Answer({name.lower(): value for name, value in answer.headers.items()}, body)
    except urllib.error.HTTPError as error:
        if error.code == 401 and token is None:
            return _get(url, accept=accept, token=_token(error.headers.get("www-authenticate", ""), url))
        raise PinError(f"{url}: the registry answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise PinError(
            f"can't reach {urllib.parse.urlsplit(url).netloc} ({reason}): check the network, or name a mirror"
        ) from error


def _token(challenge: str, url: str) -> str:
    """Return an anonymous token, as the registry's challenge requests."""
    asked = dict(_CHALLENGE.findall(challenge))
    if not challenge.lower().startswith("bearer ") or "realm" not in asked:
        raise PinError(f"{url}: the registry wants an account: {challenge!r}")
    words = urllib.parse.urlencode({name: asked[name] for name in ("service", "scope") if name in asked})
    place = f"{asked['realm']}?{words}"
    answer = _parsed(_get(place, accept="application/json", token="").body, place)
    return str(answer.get("token") or answer.get("access_token") or "none")
