"""Packs the modules of bridge/client, and the modules of this repository that they import, into a wheel."""

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT: Final = Path(__file__).resolve().parents[2]
CLIENT: Final = "bridge.client"
PACKAGE: Final = "ghostlink_bridge_client"
_OWN: Final = ("bridge", "streams", "sinks", "telemetry", "schemas")


def new_name(module: str) -> str:
    """Return the name of a module of this repository in the wheel."""
    if module == CLIENT or module.startswith(f"{CLIENT}."):
        return PACKAGE + module.removeprefix(CLIENT)
    return f"{PACKAGE}._{module.replace('.', '_')}"


def modules() -> dict[str, str]:
    """Return the text of each module by its name in the wheel, without its package.

    Raises ValueError for an import that can't be renamed.
    """
    directory = ROOT / CLIENT.replace(".", "/")
    left = [f"{CLIENT}.{path.stem}".removesuffix(".__init__") for path in sorted(directory.glob("*.py"))]
    found: dict[str, str] = {}
    while left:
        module = left.pop()
        name = new_name(module).removeprefix(f"{PACKAGE}.") if module != CLIENT else "__init__"
        if name not in found:
            found[name], more = _renamed(_source(module))
            left += more
    return found


def _source(module: str) -> Path:
    plain = ROOT / module.replace(".", "/")
    return plain / "__init__.py" if plain.is_dir() else plain.with_suffix(".py")


def _renamed(path: Path) -> tuple[str, list[str]]:
    """Return the text with renamed imports, and the imported modules."""
    lines, imported = path.read_text(encoding="utf-8").splitlines(keepends=True), []
    for node in ast.walk(ast.parse("".join(lines), str(path))):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] in _OWN for alias in node.names):
            raise ValueError(f"{path}:{node.lineno}: import names `from` a module, so that it can be renamed")
        if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] not in _OWN:
            continue
        module = node.module or ""
        if not _source(module).is_file() or (_source(module).name == "__init__.py" and module != CLIENT):
            raise ValueError(f"{path}:{node.lineno}: {module} is a package; import from a module of it")
        place = node.lineno - 1
        lines[place] = re.sub(rf"\bfrom {re.escape(module)} import\b", f"from {new_name(module)} import", lines[place])
        imported.append(module)
    return "".join(lines), imported


class ModulesHook(BuildHookInterface):  # type: ignore[type-arg]  # the builder's configuration is not used
    """Writes the renamed modules beside the build, and includes them."""

    _made: Path

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's
        self._made = Path(tempfile.mkdtemp())
        for name, text in modules().items():
            (self._made / f"{name}.py").write_text(text, encoding="utf-8")
        (self._made / "py.typed").touch()
        shutil.copy(ROOT / "LICENSE", self._made)
        build_data["force_include"][str(self._made)] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - the interface's
        shutil.rmtree(self._made, ignore_errors=True)
