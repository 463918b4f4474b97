"""The commands of a documentation page, so that a test can run them and compare their output."""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from support.processes.programs import CHECKOUT

_BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"\s*```(\w*)$")
_CODES = re.compile(r"exits (\d)(?: or (\d))?")
ANSWER = "text"
"""The language of a block with the output of the block before it."""


def commands(page: str, program: str = "bridge") -> list[list[str]]:
    """List the commands of this program in the page's blocks, in order, each as words without the program's name."""
    blocks = _BLOCK.findall((CHECKOUT / "docs" / page).read_text())
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{program} ")]


class Block(NamedTuple):
    """One fenced block: its heading, its language, and its lines without their common indent."""

    section: str
    language: str
    lines: list[str]


class Step(NamedTuple):
    """A command or query of a page, the exit codes that the page allows, and the output that the page shows."""

    section: str
    language: str
    text: str
    codes: tuple[int, ...]
    shown: tuple[str, ...]


def blocks(page: str) -> Iterator[Block]:
    """Yield the page's fenced blocks, in order."""
    section, inside = "", None
    for line in (CHECKOUT / "docs" / page).read_text().splitlines():
        fence = _FENCE.fullmatch(line)
        if inside is None and fence:
            inside = Block(section, fence[1], [])
        elif inside is not None and fence:
            yield inside
            inside = None
        elif inside is not None:
            inside.lines.append(line.strip())
        elif line.startswith("## "):
            section = line.removeprefix("## ")
    assert inside is None, f"{page}: a block does not end"


def steps(page: str) -> list[Step]:
    """List each command line of a `sh` block and each query of the others; a `text` block is the output of a step."""
    found: list[Step] = []
    for section, language, lines in blocks(page):
        if language == ANSWER:
            found[-1] = found[-1]._replace(shown=tuple(line for line in lines if line))
        elif language == "sql":
            found.append(Step(section, language, "\n".join(lines), (), ()))
        else:
            found += [Step(section, language, line, _codes(line), ()) for line in lines if line]
    return found


def _codes(line: str) -> tuple[int, ...]:
    told = _CODES.search(line.partition("  # ")[2])
    return tuple(int(code) for code in told.groups() if code) if told else (0,)


def words(line: str) -> list[str]:
    """Split a command line into words, without its comment."""
    return shlex.split(line, comments=True)


def missing(shown: tuple[str, ...], answer: str) -> list[str]:
    """Return the first shown line that the output lacks; [] if it has all.

    The shown lines have to occur in the output in their order; other lines may come between. A number matches any
    number, `…` matches anything, and the widths of columns don't matter.
    """
    lines = iter(" ".join(line.split()) for line in answer.splitlines())
    for wanted in shown:
        pattern = re.compile(_pattern(" ".join(wanted.split())))
        if not any(pattern.fullmatch(line) for line in lines):
            return [wanted]
    return []


def _pattern(line: str) -> str:
    parts = re.split(r"( ?…|\d+)", line)
    return "".join(".*" if part.endswith("…") else r"\d+" if part.isdigit() else re.escape(part) for part in parts)
