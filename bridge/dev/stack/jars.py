"""Fetches the jars of a program to this machine once, and compares each with its lock file at every start."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import InvariantViolation, PreconditionFailed


@dataclass(frozen=True)
class LockedJar:
    """A jar as the lock file describes it."""

    sha256: str
    size: int
    name: str

    def matches(self, path: Path) -> bool:
        """Return whether the file exists and has the size and checksum of this jar."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class Jars:
    """The jars of one program: their coordinates, and the lock file with their checksums.

    Each Maven coordinate is resolved alone. Dependencies that are not in the lock file are ignored.
    """

    program: str
    version: str
    coordinates: tuple[str, ...]
    lock: Path

    @property
    def directory(self) -> Path:
        """Return the directory of the program's checked jars, which all embedded stacks of this user share."""
        base = os.environ.get("XDG_CACHE_HOME")
        root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
        return root / "ghostlink-bridge" / f"{self.lock.stem}-{self.version}"

    def read_lock(self) -> list[LockedJar]:
        """Return the jars of the lock file, in its order."""
        lines = self.lock.read_text(encoding="ascii").splitlines()
        entries = (line.split() for line in lines if line and not line.startswith("#"))
        jars = [LockedJar(sha256=sha256, size=int(size), name=name) for sha256, size, name in entries]
        if not jars:
            raise InvariantViolation(f"{self.lock.name} names no jar")
        return jars

    def class_path(self, progress: Callable[[str], None]) -> list[Path]:
        """Return the paths of the checked jars; missing jars are fetched."""
        locked, cache = self.read_lock(), self.directory
        with ThreadPoolExecutor(max_workers=4) as pool:
            good = list(pool.map(lambda jar: jar.matches(cache / jar.name), locked))
        missing = [jar for jar, is_good in zip(locked, good, strict=True) if not is_good]
        if missing:
            megabytes = sum(jar.size for jar in missing) / 1e6
            progress(
                f"fetching {len(missing)} jars of {self.program} {self.version} ({megabytes:.0f} MB, only this once)"
            )
            self._fill(missing)
        return [cache / jar.name for jar in locked]

    def resolve(self, *, scratch: Path | None = None) -> dict[str, Path]:
        """Return each jar's path in the resolver's cache, by name; with `scratch`, fetch all again, into `scratch`."""
        try:
            import jgo
            from jgo.env import EnvironmentBuilder
            from jgo.maven import MavenContext
        except ImportError:
            raise PreconditionFailed(
                f"{self.program}'s jars are missing, and jgo, which fetches them, is not installed; "
                "install the project with its 'stack' extra"
            ) from None
        try:
            if scratch is None:
                environments = [jgo.build(coordinate) for coordinate in self.coordinates]
            else:
                context = MavenContext(repo_cache=scratch / "repository")
                builder = EnvironmentBuilder(context=context, cache_dir=scratch / "environments")
                environments = [builder.from_endpoint(coordinate) for coordinate in self.coordinates]
            return {jar.name: Path(jar) for environment in environments for jar in environment.all_jars}
        # The resolver can raise any error of its HTTP library, its XML parser and the file system.
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:200]
            raise PreconditionFailed(
                f"can't fetch {self.program}'s jars ({type(error).__name__}: {reason}): "
                "check the network and the proxy settings, "
                f"or put the files that {self.lock.name} names into {self.directory}"
            ) from error

    def _fill(self, missing: list[LockedJar]) -> None:
        cache = self.directory
        try:
            cache.mkdir(parents=True, exist_ok=True)
            wrong = _take(cache, missing, self.resolve())
            if wrong:
                # The resolver never checks its cache, so the fetch is repeated with an empty cache.
                with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as scratch:
                    wrong = _take(cache, wrong, self.resolve(scratch=Path(scratch)))
        except OSError as error:
            raise PreconditionFailed(
                f"can't store {self.program}'s jars in {cache}: {error.strerror or error}"
            ) from error
        if wrong:
            names = ", ".join(jar.name for jar in wrong[:3])
            raise PreconditionFailed(
                f"{len(wrong)} fetched jars are missing or do not have the checksum in {self.lock.name} ({names}): "
                "their source can't be trusted; check the proxy or mirror that they came through"
            )


def _take(cache: Path, wanted: list[LockedJar], resolved: dict[str, Path]) -> list[LockedJar]:
    """Copy the `wanted` jars that match the lock file from `resolved` to `cache`, and return the others."""
    wrong = []
    for jar in wanted:
        source = resolved.get(jar.name)
        if source is not None and jar.matches(source):
            _copy_atomically(source, cache / jar.name)
        else:
            wrong.append(jar)
    return wrong


def _copy_atomically(source: Path, target: Path) -> None:
    # Two stacks can fill the cache at the same time. Each replaces a complete file by an equal file.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    fresh = Path(name)
    try:
        shutil.copyfile(source, fresh)
        fresh.chmod(0o644)
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


KAFKA_VERSION = "4.3.1"
# Kafka's dependencies contain no logging back end, without which Kafka's errors are lost. The coordinates are resolved
# one by one. If resolved together, the back end's managed versions would replace some of Kafka's jars by older ones.
# `python -m bench.peers.lock kafka` writes the lock file again.
KAFKA = Jars(
    program="Kafka",
    version=KAFKA_VERSION,
    coordinates=(f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"),
    lock=Path(__file__).with_name("kafka.lock"),
)
