"""Faults put into costspan while a program calls an LLM: at the entry of a function, or at one of its lines."""

from __future__ import annotations
import __future__

import ast
import builtins
import functools
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple, TypeAlias, cast

from typing_extensions import Self

import costspan

_ROOT = str(Path(costspan.__file__).parent) + "/"
_PARTS = ("calls/", "clients/", "emit/", "pricing/", "scope/", "ledger/", "metrics/", "sdk/", "facts/", "names.py")
#: In these the library's own code runs: they are the caller's call itself, and hold nothing else that could fail.
IN_THE_WAY = frozenset({
    "_sync", "_async",
    "StainlessClient.request", "StainlessClient.request_async", "StainlessClient._asked", "StainlessClient._asked_async", "StainlessClient._made", "StainlessClient._made_async", "Refusable.__enter__",
    "Refusable.__exit__", "Refusable.__init__", "is_refused",
    "StainlessClient.responded", "StainlessClient._taken_later",
    "_noted", "AsyncEvents.__aiter__", "AsyncEvents.__anext__", "AsyncEvents.aclose",
    "passing", "_without_ours",
    "_Wire.__iter__", "_Wire.close", "_AsyncWire.__aiter__", "_AsyncWire.aclose", "_passing",
    "_AsyncPassing.__init__", "_AsyncPassing.__aiter__", "_AsyncPassing.__anext__", "_AsyncPassing.aclose",
    "Decoder.decode", "Decoder.flush", "Decoder._seen", "Decoder._one",
    "Tap.take", "Tap.end", "Tap.release", "Tap.release_decoded",
    "_items", "_async_items",
    "Beside.whole", "Beside.whole_async",
    "_start_thread", "_run_thread", "_give_task",
})  # fmt: skip


class Site(NamedTuple):
    """Where a fault is put: at the entry of a function, or at one of its lines."""

    code: CodeType
    line: int | None = None

    def __str__(self) -> str:
        return (
            f"{self.code.co_filename.removeprefix(_ROOT)}:{self.line or self.code.co_firstlineno} {self.code.co_name}"
        )


def _is_ours(code: CodeType) -> bool:
    if code.co_name.startswith("<") and code.co_name != "<lambda>":
        return False  # a comprehension: part of the line that it stands in
    return code.co_filename.startswith(_ROOT) and code.co_filename.removeprefix(_ROOT).startswith(_PARTS)


def qualified(code: CodeType) -> str:
    """The name of a function with its class, on every Python."""
    found = getattr(code, "co_qualname", None)
    return found if found is not None else _NAMES.get(code, code.co_name)


_NAMES: dict[CodeType, str] = {}


def sites(run: Callable[[], Any], *, lines: bool) -> dict[Any, Site]:
    """Every function (or line) of costspan that a run goes through in this thread, those in the way left out.

    By what makes it a case of its own: for a function, the functions of ours that it was called through.
    """
    found: dict[Any, Site] = {}

    def local(frame: FrameType, event: str, _: Any) -> Any:
        line = _statements(frame.f_code.co_filename).get(frame.f_lineno) if event == "line" else None
        if line is not None:
            found[frame.f_code, line] = Site(frame.f_code, line)
        return local

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if event != "call" or not _is_ours(code) or qualified(code) in IN_THE_WAY:
            return None
        if lines:
            return local
        found[_way_to(frame)] = Site(code)
        return None

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return found


def _way_to(frame: FrameType | None) -> tuple[CodeType, ...]:
    way: list[CodeType] = []
    while frame is not None:
        if _is_ours(frame.f_code):
            way.append(frame.f_code)
            if qualified(frame.f_code) in IN_THE_WAY:
                break
        frame = frame.f_back
    return tuple(way)


class Fault:
    """Raises at a site, every time that it is reached, while in force.

    The function is given code with the fault compiled in. A trace function that raises would be shorter, but CPython
    3.11 loses its stack over one now and then.
    """

    def __init__(self, site: Site, kind: type[Exception]) -> None:
        self.site = site
        self.kind = kind
        self.times = 0
        self._swapped: list[tuple[FunctionType, CodeType]] = []

    def __enter__(self) -> Self:
        setattr(builtins, _PUT_IN, self._raise)
        faulty = _with_fault(self.site)
        for function in _functions(self.site.code):
            code = faulty.get(_key(function.__code__))
            if code is not None:
                self._swapped.append((function, function.__code__))
                function.__code__ = code
        return self

    def __exit__(self, *_: object) -> None:
        for function, code in self._swapped:
            function.__code__ = code
        delattr(builtins, _PUT_IN)

    def _raise(self) -> None:
        self.times += 1
        raise self.kind(f"a fault put in at {self.site}")


_PUT_IN = "_fault_put_in"
_Key: TypeAlias = tuple[str, int, str]


def _key(code: CodeType) -> _Key:
    return code.co_name, code.co_firstlineno, code.co_filename


@functools.cache
def _with_fault(site: Site) -> dict[_Key, CodeType]:
    """The code of the site's function, and of those that it is made in, compiled with the fault in it."""
    tree = _part_with(site.code)
    _Putting(site).visit(tree)
    flags = __future__.annotations.compiler_flag  # every file of costspan begins with it
    module = compile(ast.fix_missing_locations(tree), site.code.co_filename, "exec", flags, dont_inherit=True)
    wanted = _key(site.code)
    return {_key(code): code for code in _codes(module) if wanted in {_key(code), *map(_key, _codes(code))}}


def _part_with(code: CodeType) -> ast.Module:
    """The one statement of a file that this code stands in, at its lines: a whole file takes ten times as long."""
    lines = Path(code.co_filename).read_text().splitlines(keepends=True)
    begin, end = next(part for part in _parts(code.co_filename) if part[0] <= code.co_firstlineno <= part[1])
    return ast.parse("\n" * (begin - 1) + "".join(lines[begin - 1 : end]))


@functools.cache
def _parts(path: str) -> list[tuple[int, int]]:
    """The first and the last line of each statement of a file that stands in no other."""
    found = ast.parse(Path(path).read_text()).body
    return [(_first_line(node) or node.lineno, node.end_lineno or node.lineno) for node in found]


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


class _Putting(ast.NodeTransformer):
    """Puts a call that raises before the statements of a site."""

    def __init__(self, site: Site) -> None:
        self.line = site.line
        self.first = site.code.co_firstlineno
        self.name = site.code.co_name

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if self.line is None:
            if _first_line(node) == self.first and getattr(node, "name", "<lambda>") == self.name:
                self._begin(node)
            return node
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                old = cast("list[ast.stmt]", statements)
                setattr(node, name, [added for statement in old for added in self._before(statement)])
        return node

    def _begin(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body.insert(0, _raising(node.body[0]))
        elif isinstance(node, ast.Lambda):
            node.body = ast.BoolOp(ast.Or(), [_raising(node).value, node.body])

    def _before(self, statement: ast.stmt) -> list[ast.stmt]:
        return [_raising(statement), statement] if statement.lineno == self.line else [statement]


def _first_line(node: ast.AST) -> int | None:
    decorators = getattr(node, "decorator_list", None)
    return decorators[0].lineno if decorators else getattr(node, "lineno", None)


def _raising(place: ast.expr | ast.stmt) -> ast.Expr:
    call = ast.Expr(ast.Call(ast.Name(_PUT_IN, ast.Load()), [], []))
    for node in ast.walk(call):
        ast.copy_location(node, place)
    return call


@functools.cache
def _statements(path: str) -> dict[int, int]:
    """The line at which a statement begins, by each of its lines; of one that holds others, by those before them."""
    begins: dict[int, int] = {}
    for node in ast.walk(ast.parse(Path(path).read_text())):
        if isinstance(node, ast.stmt):
            body: list[ast.AST] = getattr(node, "body", [])
            last = getattr(body[0], "lineno", 1) - 1 if body else node.end_lineno or node.lineno
            begins.update(dict.fromkeys(range(node.lineno, last + 1), node.lineno))
    return begins


def _functions(code: CodeType) -> list[FunctionType]:
    """All functions that there are of this code's file; those made within others are looked for each time."""
    lasting = _lasting.get(code.co_filename, [])
    return [*lasting, *_younger().get(code.co_filename, [])] if "<locals>" in qualified(code) else lasting


_lasting: dict[str, list[FunctionType]] = {}


def look_for_functions() -> None:
    """Find the functions of costspan that there are by now. To be called before faults are put in."""
    gc.unfreeze()  # conftest.py hides from the collector what the libraries hold
    _lasting.clear()
    _lasting.update(_younger())
    gc.freeze()


def _younger() -> dict[str, list[FunctionType]]:
    """The functions of costspan that the collector knows of, by file."""
    found: dict[str, list[FunctionType]] = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType and thing.__code__.co_filename.startswith(_ROOT):
            found.setdefault(thing.__code__.co_filename, []).append(thing)
    return found
