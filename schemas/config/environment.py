"""The environment variables of the settings: their names, and a check for variables that are no setting."""

import difflib
import os
import re
from collections.abc import Mapping

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from schemas.config.settings import Settings

_PREFIX = "BRIDGE_"
# These are no typing errors: the tests use them, or Kubernetes sets them for a service named bridge-something.
_OTHERS = re.compile(
    r"BRIDGE_TEST_\w+|BRIDGE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")


def environment_names(name: str, field: FieldInfo) -> list[str]:
    """Return the names of a setting's environment variables. If several are set, the first one applies."""
    if isinstance(field.validation_alias, AliasChoices):
        return [choice for choice in field.validation_alias.choices if isinstance(choice, str) and choice.isupper()]
    return [f"{_PREFIX}{name.upper()}"]


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return one line for each environment variable `BRIDGE_*` that is no setting.

    The line suggests the setting with the most similar name.
    """
    known = {one for name, field in Settings.model_fields.items() for one in environment_names(name, field)}
    lines = []
    for name, value in sorted(environment.items()):
        wanted = name.upper()
        if not wanted.startswith(_PREFIX) or wanted in known or _is_somebody_elses(wanted, value):
            continue
        closest = difflib.get_close_matches(wanted, sorted(known), n=1)
        hint = f"did you mean {closest[0]}?" if closest else "see docs/settings.md"
        lines.append(f"{name} is not a setting: {hint} Unset it, or correct the name")
    return lines


def _is_somebody_elses(name: str, value: str) -> bool:
    return bool(_OTHERS.fullmatch(name)) or (name.endswith("_PORT") and bool(_SERVICE_LINK.match(value)))
