"""The table of pins, with functions to read it and to write looked up pins."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

TABLE = Path(__file__).with_name("pins.toml")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(.*)", re.DOTALL)


class PinError(Exception):
    """An error in the table or of a registry: its place, and what to do."""


@dataclass(frozen=True)
class Pin:
    """An image or an action; `pin` is its digest or commit, or empty if none was looked up."""

    kind: str
    key: str
    name: str
    version: str
    line: str
    pin: str
    supported_until: date | None = None

    @property
    def reference(self) -> str:
        """Return the reference as in Compose file, Dockerfile and workflows."""
        if self.kind == "images":
            return f"{self.name}:{self.version}" + (f"@{self.pin}" if self.pin else "")
        return f"{self.name}@{self.pin} # {self.version}" if self.pin else f"{self.name}@{self.version}"

    def newer(self, versions: list[str]) -> str | None:
        """Return the newest version of the same line and variant, if it is newer than this one."""
        own, suffix = _parsed(self.version) or ((), "")
        line = tuple(int(part) for part in self.line.split("."))
        found = [(parsed[0], text) for text in versions if (parsed := _parsed(text)) and parsed[1] == suffix]
        # A tag of fewer parts, such as 18 beside 18.6, moves with the newest version.
        same = [one for one in found if one[0][: len(line)] == line and len(one[0]) == len(own)]
        newest = max(same, default=(own, self.version))
        return newest[1] if newest[0] > own else None


def _parsed(version: str) -> tuple[tuple[int, ...], str] | None:
    found = _VERSION.fullmatch(version)
    return None if found is None else (tuple(int(part) for part in found[1].split(".")), found[2])


def read(path: Path = TABLE) -> list[Pin]:
    """Return the table's entries; raises PinError for one that is not valid."""
    loaded = tomllib.loads(path.read_text(encoding="utf-8"))
    pins = [
        Pin(kind=kind, key=key, **entry)
        for kind in ("images", "actions")
        for key, entry in loaded.get(kind, {}).items()
    ]
    for one in pins:
        form = _DIGEST if one.kind == "images" else _COMMIT
        if one.pin and not form.fullmatch(one.pin):
            raise PinError(
                f"{path.name}: {one.key}: {one.pin!r} is no digest or commit: empty it and run make pin-images"
            )
    return pins


def image(key: str, path: Path = TABLE) -> str:
    """Return the reference of the image with this key."""
    return next(one.reference for one in read(path) if one.kind == "images" and one.key == key)


def write(looked_up: Mapping[tuple[str, str], str], path: Path = TABLE) -> None:
    """Write digests and commits by kind and key; everything else in the file stays as it is."""
    text = path.read_text(encoding="utf-8")
    for (kind, key), pin in looked_up.items():
        entry = re.compile(rf'(^\[{kind}\.{re.escape(key)}\]$(?:\n(?!\[).*)*?\npin = )"[^"]*"', re.MULTILINE)
        text, count = entry.subn(rf'\g<1>"{pin}"', text)
        if count != 1:
            raise PinError(f'{path.name}: [{kind}.{key}] has no line `pin = "..."`: add one')
    path.write_text(text, encoding="utf-8")
