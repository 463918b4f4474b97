"""Runs a page's commands and queries from top to bottom, as an operator, and compares their output with the page."""

import re
from collections.abc import Callable

import asyncpg

from support.events.situations import Trouble
from support.pages import Step, missing, steps, words
from support.processes.command import bridge_text

# The value of a placeholder in capitals is taken from the output of an earlier command of the page.
SHOWN_BY = {
    "CAUSE": r"\b([0-9a-f]{16})$",
    "PROVENANCE": r"(?<!\S)([\w.#]+:\d+:\d+)(?!\S)",
    "PLAN": r"^plan ([0-9a-f-]{36})",
    "RUN_ID": r"^(\d{8}T\d{6}Z-[0-9a-f]{4})\b",
    "PID": r"^(\d+) \|",
    "OFFSET": r"^bridge\.raw +0 +1 +(\d+) ",
}
RUN = frozenset({"sh", "sql"})
"""The languages of the blocks that are run."""
COMMAND_SECONDS = 120
Tell = Callable[[str], None]


async def run_page(page: str, trouble: Trouble, tell: Tell = lambda _: None) -> dict[str, str]:
    """Run the page and return the output by command; fails at the first output that differs from the page.

    `tell` is called with each command and its output.
    """
    known = dict(trouble.words)
    answers: dict[str, str] = {}
    for step in steps(page):
        if step.section == "Mitigation" and trouble.mend is not None:
            await trouble.mend()
            trouble.mend = None
        if step.language not in RUN:
            continue
        text = _filled(step.text, known)
        answer = await (_command if step.language == "sh" else _query)(step, text, trouble)
        tell(f"$ {step.text}\n{answer}")
        lacking = missing(step.shown, answer)
        assert not lacking, f"{page}: `{step.text}` does not answer {lacking[0]!r}, but:\n{answer}"
        for word, pattern in SHOWN_BY.items():
            if found := re.search(pattern, answer, re.MULTILINE):
                known[word] = found[1]
        answers[step.text] = answer
    assert trouble.mend is None, f"{page} has no Mitigation that is run"
    return answers


def _filled(text: str, known: dict[str, str]) -> str:
    for word, value in known.items():
        text = re.sub(rf"\b{re.escape(word)}\b", lambda _, value=value: value, text)
    left = re.search(rf"\b({'|'.join(SHOWN_BY)}|SCRIPT|SITE)\b", text)
    assert left is None, f"nothing that was run before has shown a {left[0]}: {text}"
    return text


async def _command(step: Step, text: str, trouble: Trouble) -> str:
    prefix = trouble.settings.topic_prefix
    given = [re.sub(r"^bridge\.(?=\w)", prefix, word) for word in words(text)]
    assert given[0] == "bridge", f"only `bridge` can be run here: {text}"
    done = await bridge_text(*given[1:], settings=trouble.environment, timeout=COMMAND_SECONDS)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in step.codes, f"`{text}` ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout.replace(prefix, "bridge.")


async def _query(_step: Step, text: str, trouble: Trouble) -> str:
    """Format the rows as psql does, except for the column widths."""
    conn = await asyncpg.connect(trouble.settings.dsn)
    try:
        prepared = await conn.prepare(text)
        rows = await prepared.fetch()
        names = [one.name for one in prepared.get_attributes()]
    finally:
        await conn.close()
    lines = [names, *([_cell(value) for value in row.values()] for row in rows)]
    return "\n".join(" | ".join(line) for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    return "" if value is None else str(value)
