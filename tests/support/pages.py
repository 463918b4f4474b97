"""The commands that a page of the documentation shows, so that a test can run them."""

import re
import shlex

from support.programs import CHECKOUT

_BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def commands(page: str, program: str = "bridge") -> list[list[str]]:
    """The words of each command of this program in the page's blocks, without its name, in order."""
    blocks = _BLOCK.findall((CHECKOUT / "docs" / page).read_text())
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{program} ")]
