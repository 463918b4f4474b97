"""The commands that a page of the documentation shows, so that a test can run them and compare what they answer."""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from support.processes.programs import CHECKOUT

_BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"\s*```(\w*)$")
_CODES = re.compile(r"exits (\d)(?: or (\d))?")
ANSWER = "text"
"""The language of a block that shows what the block before it answers."""


def commands(page: str, program: str = "bridge") -> list[list[str]]:
    """The words of each command of this program in the page's blocks, without its name, in order."""
    blocks = _BLOCK.findall((CHECKOUT / "docs" / page).read_text())
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{program} ")]


class Block(NamedTuple):
    """One fenced block: under which heading, in which language, and its lines without their common indent."""

    section: str
    language: str
    lines: list[str]


class Step(NamedTuple):
    """A command or query of a page, the exit codes that the page says it may end with, and what the page shows of it."""

    section: str
    language: str
    text: str
    codes: tuple[int, ...]
    shown: tuple[str, ...]


def blocks(page: str) -> Iterator[Block]:
    """The page's fenced blocks, in order."""
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
    """Each command line of a `sh` block and each query of the others; a `text` block belongs to the step before it."""
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
    """The words of a command line, without its comment."""
    return shlex.split(line, comments=True)


def missing(shown: tuple[str, ...], answer: str) -> list[str]:
    """The first of the shown lines that the answer lacks, if any.

    The shown lines stand in the answer in their order, perhaps with others between them. Any number stands for any
    other, `…` for anything, and columns may be as wide as they like.
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
