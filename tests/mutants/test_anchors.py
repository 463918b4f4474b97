"""Anchors of edits: they match by syntax, and an edit that doesn't fit is a clear error."""

import pytest

from tools.mutants.anchors import Misfit, apply
from tools.mutants.mutant import Edit

CODE = '''\
LIMITS = (1, 2)

class Gate:
    @property
    def open(self) -> bool:
        """Whether “it” is open."""
        return (self.most  # a comment
                > 0 and not self.shut)

    async def pass_on(self, event: str) -> None:
        if event == "é": await self.send(
            event, timeout=3,
        )
        self.count += 1
        self.check(event)

def other() -> bool:
    return self.most > 0
'''


@pytest.mark.parametrize(
    ("where", "old", "new", "before", "after"),
    [
        ("Gate.open", "self.most > 0", "True", "self.most  # a comment\n                > 0", "(True)"),
        (
            "Gate.open",
            "... and not self.shut",
            "a or b",
            "self.most  # a comment\n                > 0 and not self.shut",
            "(a or b)",
        ),
        ("Gate.pass_on", "self.check(...)", "", "self.check(event)", "pass"),
        ("Gate.pass_on", "self.check(event)", "return", "self.check(event)", "return"),
        ("Gate.pass_on", "self.send(...)", "", "await self.send(\n            event, timeout=3,\n        )", "pass"),
        ("Gate.pass_on", "self.count += ...", "a()\nb()", "self.count += 1", "a()\n        b()"),
        ("Gate.pass_on", "self.count += 1\nself.check(...)", "", "self.count += 1\n        self.check(event)", "pass"),
        ("other", "...", "return True", "return self.most > 0\n", "return True\n"),
        ("LIMITS", "1", "*()", "(1, 2)", "(*(), 2)"),
        ("", "self.shut", "None", "self.shut", "(None)"),
    ],
)
def test_an_edit_changes_one_piece_of_syntax(where: str, old: str, new: str, before: str, after: str) -> None:
    path = f"a.py::{where}" if where else "a.py"
    assert CODE.count(before) == 1
    assert apply(Edit(path, old, new), CODE) == CODE.replace(before, after)


def test_text_is_found_with_any_white_space_in_it() -> None:
    sql = "-- Locks.\nSELECT a,b\nFROM t\n  WHERE ( a = $1 )\nFOR UPDATE OF t\n"
    assert apply(Edit("a.sql", "WHERE (a = $1) FOR UPDATE"), sql) == "-- Locks.\nSELECT a,b\nFROM t\n   OF t\n"
    with pytest.raises(Misfit, match=r"a\.sql holds 'WHER' 0 times, not once"):
        apply(Edit("a.sql", "WHER"), sql)


@pytest.mark.parametrize(
    ("where", "old", "error"),
    [
        ("a.py", "self.most > 0", r"a\.py holds 'self.most > 0' 2 times, not once"),
        ("a.py::Gate.open", "self.least > 0", r"a\.py::Gate\.open holds 'self.least > 0' 0 times, not once"),
        ("a.py::Gate.close", "...", r"defines close 0 times, not once; it defines: open, pass_on"),
        ("a.py::LIMITS", "...", r"holds '...' 0 times"),
    ],
)
def test_an_edit_that_does_not_fit_is_an_error(where: str, old: str, error: str) -> None:
    with pytest.raises(Misfit, match=error):
        apply(Edit(where, old), CODE)
