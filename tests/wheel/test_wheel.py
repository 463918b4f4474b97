"""The wheel has the product's packages only, and works without the sources."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("bridge", "streams", "sinks", "telemetry", "schemas")
DATA_FILES = {
    "sinks/postgres/ledger": ".sql",
    "sinks/postgres/schema/migrations": ".sql",
    "schemas/snapshots": ".json",
}
SINGLE_FILES = (
    "bridge/dev/stack/kafka.lock",
    "bridge/dev/stack/log4j2.properties",
    *(f"{name}/py.typed" for name in PACKAGES),
)

WHERE = """
import importlib, importlib.metadata, json, sys
names = sys.argv[1:]
owners = importlib.metadata.packages_distributions()
print(json.dumps({name: [importlib.import_module(name).__file__, sorted(set(owners[name]))] for name in names}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout with the installed tools."""
    target = tmp_path_factory.mktemp("dist")
    succeed([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target)], cwd=CHECKOUT)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, in a directory from which no source can be imported.

    The dependencies are borrowed from the running interpreter to be quick. Python ignores a `.pth` file inside a
    borrowed
    directory, so the checkout that is installed there as editable can't be imported.
    """
    home = tmp_path_factory.mktemp("away") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    install = ["install", "--quiet", "--no-input", "--no-index", "--no-deps", str(wheel)]
    succeed([sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), *install], cwd=home)
    (site_packages,) = home.glob("lib/python*/site-packages")
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "borrowed.pth").write_text("".join(f"{path}\n" for path in sorted(borrowed)))
    return home


def succeed(words: list[str], *, cwd: Path) -> str:
    """Run the words without the checkout on the path, and fail with their output unless they exit with 0."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        words, cwd=cwd, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def test_top_level_is_the_four_packages(wheel: Path) -> None:
    """There is no fifth package, and no tests, benchmarks or documents."""
    with ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}
    (metadata,) = (name for name in top if name.endswith(".dist-info"))

    # Where cargo is, the wheel has the native module too.
    assert top - {"ghostlink_native.abi3.so"} == {*PACKAGES, metadata}


def test_every_tracked_module_and_data_file_is_in_the_wheel(wheel: Path) -> None:
    """The wheel has all of the packages' modules, SQL, migrations, snapshots, lock and log settings."""
    wanted = {
        str(path.relative_to(CHECKOUT))
        for package in PACKAGES
        for path in (CHECKOUT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.split("/")[0] in PACKAGES}

    assert held == wanted
    assert held.issuperset(SINGLE_FILES)
    for directory, suffix in DATA_FILES.items():
        assert any(name.startswith(f"{directory}/") and name.endswith(suffix) for name in held), directory


def test_packages_come_from_the_wheel(environment: Path) -> None:
    """Generic names such as `schemas` could belong to another distribution, so their origin is checked."""
    import json

    found = json.loads(succeed([str(environment / "bin" / "python"), "-c", WHERE, *PACKAGES], cwd=environment.parent))

    for name, (file, owners) in found.items():
        assert Path(file).is_relative_to(environment), f"{name} was imported from {file}"
        assert owners == ["ghostlink-bridge"], f"{name} belongs to {owners}"


def test_sql_and_migrations_are_found_in_the_wheel(environment: Path) -> None:
    """Data files are read as resources of the package, not by a path in the checkout."""
    code = "from sinks.postgres.schema.migrate import migrations; from sinks.postgres.connection import sql; print(len(migrations()), sql('keys_insert'))"
    said = succeed([str(environment / "bin" / "python"), "-c", code], cwd=environment.parent)

    assert int(said.split()[0]) >= 1
    assert "bridge_event_key" in said


@pytest.mark.parametrize("words", [["--help"], ["worker", "--help"]])
def test_the_command_answers(environment: Path, words: list[str]) -> None:
    """The entry point starts from another directory."""
    said = succeed([str(environment / "bin" / "bridge"), *words], cwd=environment.parent)

    assert "Usage: bridge" in said
