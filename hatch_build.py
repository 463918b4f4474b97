"""The build hook of the wheel: includes the native module if cargo can build it.

A wheel with it is for one platform, and one without it is for all. With `WITH_NATIVE=required` in the environment, a wheel
without it is an error.
"""

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent / "scripts"))

from install_native import NAME, compiled


class NativeModule(BuildHookInterface):  # type: ignore[type-arg]
    """Includes the native module in a wheel. An editable install has it from `make install`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the module, and declare the wheel's file and platform; raises RuntimeError if it is required and absent."""
        if version == "editable":
            return
        built = compiled()
        if isinstance(built, str):
            if os.environ.get("WITH_NATIVE") == "required":
                raise RuntimeError(f"no native module: {built}")
            self.app.display_warning(f"the wheel has no native module: {built}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["force_include"][str(built)] = NAME
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform}"
