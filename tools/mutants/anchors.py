"""The place of an edit: a piece of syntax within a named part of a Python file, or a piece of another file's text."""

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

from tools.mutants.mutant import Edit

_Found = TypeVar("_Found")
_WORDS_AND_SIGNS = re.compile(r"\w+|[^\w\s]")


ROOT = Path(__file__).resolve().parents[2]
_ROOMS = ("schemas", "telemetry", "sinks", "streams", "bridge")


class Misfit(LookupError):
    """An edit that does not fit its file."""


class _Piece(NamedTuple):
    """Neighbouring nodes, and the statement that they form or that contains them."""

    nodes: Sequence[ast.AST]
    statement: ast.stmt


def path_of(edit: Edit, root: Path = ROOT) -> str:
    """Find the edit's file; return its path below `root`. Raises Misfit unless exactly one path has that end."""
    given = edit.where.partition("::")[0]
    if (root / given).is_file():
        return given
    found = [str(path.relative_to(root)) for room in _ROOMS for path in (root / room).rglob(given)]
    if len(found) != 1:
        raise Misfit(f"{given} is the end of {len(found)} paths, not of one")
    return found[0]


def apply(edit: Edit, content: str) -> str:
    """Return the file's content after the edit; raises Misfit unless `edit.old` occurs exactly once in `edit.where`."""
    path, _, name = edit.where.partition("::")
    if not path.endswith(".py"):
        begin, end = _only(edit, _texts(edit.old, content))
        return content[:begin] + edit.new + content[end:]
    encoded = content.encode()
    begin, end, new = _change(edit, ast.parse(content), name, encoded)
    return (encoded[:begin] + new.encode() + encoded[end:]).decode()


def _change(edit: Edit, module: ast.Module, name: str, content: bytes) -> tuple[int, int, str]:
    """Return the start and the end of the bytes to replace, and the replacement."""
    part = _part(edit, module, name)
    if edit.old == "...":
        body = getattr(part, "body", [])
        piece = _only(edit, [_Piece(body, body[0])] if body else [])
    else:
        piece = _only(edit, list(_pieces(ast.parse(edit.old).body, part)))
    first, last = piece.nodes[0], piece.nodes[-1]
    statement = isinstance(first, ast.stmt)
    if not edit.new and not statement:
        first = last = piece.statement
    new = edit.new or "pass"
    if statement or not edit.new:
        new = new.replace("\n", "\n" + " " * piece.statement.col_offset)
    elif _is_expression(new):
        # Parentheses keep the replacement one operand of the surrounding expression.
        new = f"({new})"
    lines = content.splitlines(keepends=True)
    begin = _offset(lines, first.lineno, first.col_offset)  # type: ignore[attr-defined]
    end = _offset(lines, last.end_lineno, last.end_col_offset)  # type: ignore[attr-defined]
    return begin, end, new


def _offset(lines: list[bytes], line: int, column: int) -> int:
    return sum(map(len, lines[: line - 1])) + column


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    return True


def _only(edit: Edit, found: Sequence[_Found]) -> _Found:
    if len(found) != 1:
        raise Misfit(f"{edit.where} holds {edit.old!r} {len(found)} times, not once")
    return found[0]


def _texts(old: str, content: str) -> list[tuple[int, int]]:
    """Find the spans of the text, with any white space between its words and signs."""
    parts = _WORDS_AND_SIGNS.findall(old)
    pattern = re.escape(parts[0])
    for before, after in pairwise(parts):
        pattern += (r"\s+" if before[-1].isalnum() and after[0].isalnum() else r"\s*") + re.escape(after)
    begin, end = (r"\b" if part[edge].isalnum() else "" for part, edge in ((parts[0], 0), (parts[-1], -1)))
    return [found.span() for found in re.finditer(begin + pattern + end, content)]


def _part(edit: Edit, module: ast.Module, name: str) -> ast.AST:
    """Return the module, or the function, class or assignment with that qualified name."""
    part: ast.AST = module
    for step in filter(None, name.split(".")):
        within = list(_defined(part))
        found = [node for name, node in within if name == step]
        if len(found) != 1:
            names = ", ".join(dict.fromkeys(name for name, _ in within))
            raise Misfit(f"{edit.where} defines {step} {len(found)} times, not once; it defines: {names}")
        part = found[0]
    return part


def _defined(part: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the functions, classes and assignments of a part with their names, without those of nested parts."""
    for node in ast.iter_child_nodes(part):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))
        yield from _defined(node)


def _pieces(old: list[ast.stmt], part: ast.AST) -> Iterator[_Piece]:
    """Find the occurrences in a part of an expression, or of a sequence of statements."""
    expression = old[0].value if len(old) == 1 and isinstance(old[0], ast.Expr) else None
    for statement, node in _walk(part, None):
        if expression is None:
            for block in (block for _, block in ast.iter_fields(node) if isinstance(block, list)):
                for run in zip(*(block[index:] for index in range(len(old))), strict=False):
                    if all(map(_alike, old, run)):
                        yield _Piece(run, run[0])
        elif statement is not None and isinstance(node, ast.expr) and _alike(expression, node):
            whole = isinstance(statement, ast.Expr) and statement.value is node
            yield _Piece([statement if whole else node], statement)


def _walk(node: ast.AST, statement: ast.stmt | None) -> Iterator[tuple[ast.stmt | None, ast.AST]]:
    """Yield every node with the innermost statement that it is or that contains it."""
    statement = node if isinstance(node, ast.stmt) else statement
    yield statement, node
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, statement)


def _alike(old: object, node: object) -> bool:
    """Whether a node equals `old`, in which `...` matches anything."""
    if isinstance(old, ast.expr) and _is_any(old):
        return isinstance(node, ast.expr)
    if isinstance(old, list) and isinstance(node, list):
        return _lists_alike(old, node)
    if isinstance(old, ast.AST):
        # `...` among the arguments of a call also matches its keywords.
        passed = ("keywords",) if isinstance(old, ast.Call) and any(map(_is_any, old.args)) else ()
        return type(old) is type(node) and all(
            _alike(getattr(old, field, None), getattr(node, field, None))
            for field in old._fields
            if field not in ("ctx", "kind", "type_comment", *passed)
        )
    return type(old) is type(node) and old == node


def _lists_alike(old: list[object], nodes: list[object]) -> bool:
    if not old:
        return not nodes
    if _is_any(old[0]):
        return any(_lists_alike(old[1:], nodes[index:]) for index in range(len(nodes) + 1))
    return bool(nodes) and _alike(old[0], nodes[0]) and _lists_alike(old[1:], nodes[1:])


def _is_any(node: object) -> bool:
    value = node.value if isinstance(node, ast.Expr) else node
    return isinstance(value, ast.Constant) and value.value is ...
