"""Break the package on purpose, one small change at a time, and list the changes that no test notices.

    python scripts/mutate.py                          every module of TESTS
    python scripts/mutate.py pricing/plan.py --most 40

A copy of the package is changed, never the one at hand: each mutant flips a comparison, drops a term, moves a whole
number by one or swaps `and` and `or`, and the tests of its module are run against it. What survives is either a rule
without a test, which gets one, or a change that makes no difference.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = ROOT / "src" / "costspan"
#: Longer than the tests of any module take: a mutant that never ends is noticed, too.
_PATIENCE_S: Final = 300

#: The tests that state the rules of each module.
TESTS: Final = {
    "pricing/calculate.py": ("test_calculate.py",),
    "pricing/plan.py": ("test_calculate.py", "test_catalog.py"),
    "facts/money.py": ("test_calculate.py", "test_hostile.py"),
    "facts/usage.py": ("test_numbers.py", "test_unread.py", "test_calculate.py"),
    "metrics/totals.py": ("test_labels.py", "test_long_life.py"),
    "metrics/sessions.py": ("test_sessions.py",),
    "metrics/session_points.py": ("test_sessions.py",),
    "metrics/days.py": ("test_long_life.py",),
    "sdk/expire_series.py": ("test_long_life.py",),
    "calls/merging.py": ("test_merging.py",),
    "alerting/spend.py": ("test_spend.py", "test_rules.py"),
    "alerting/rules.py": ("test_rules.py", "test_spend.py"),
}

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_SIGNS: Final[dict[type[ast.operator], type[ast.operator]]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    other = copy.deepcopy(node)
    if isinstance(other, ast.Compare) and len(other.ops) == 1:
        other.ops = [_COMPARISONS[type(other.ops[0])]()]
        yield other
    elif isinstance(other, ast.BoolOp):
        yield from other.values[:2]
    elif isinstance(other, ast.BinOp) and type(other.op) in _SIGNS:
        other.op = _SIGNS[type(other.op)]()
        yield other
    elif isinstance(other, ast.Constant) and type(other.value) is int:
        other.value += 1
        yield other
    elif isinstance(other, ast.Constant) and type(other.value) is bool:
        other.value = not other.value
        yield other
    elif isinstance(other, ast.UnaryOp) and isinstance(other.op, ast.Not):
        yield other.operand
    elif isinstance(other, ast.AugAssign):
        yield ast.Pass()


class _Replacing(ast.NodeTransformer):
    def __init__(self, at: ast.AST, by: ast.AST) -> None:
        self._at, self._by = at, by

    def visit(self, node: ast.AST) -> ast.AST:
        return self._by if node is self._at else super().visit(node)


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Each mutant of a module: what was changed, and the text."""
    total = len([None for node in ast.walk(ast.parse(source)) for _ in changes(node)])
    for number in range(total):
        tree = ast.parse(source)
        found = ((node, by) for node in ast.walk(tree) for by in changes(node))
        node, by = next(each for at, each in enumerate(found) if at == number)
        line, before, after = getattr(node, "lineno", 0), ast.unparse(node), ast.unparse(by)
        yield f"{line}: {before} -> {after}", ast.unparse(_Replacing(node, by).visit(tree))


def is_noticed(place: Path, tests: tuple[str, ...]) -> bool:
    """Whether the tests go red with the package that lies in `place`."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-qx",
        "-p",
        "no:cacheprovider",
        *(str(path) for name in tests for path in Path("tests").glob(f"*/{name}")),
    ]
    environ = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return True
    return ended.returncode != 0


def survivors(module: str, most: int) -> Iterator[str]:
    """Try the mutants of one module, spread evenly over it, and name those that no test notices."""
    source = (PACKAGE / module).read_text()
    found = list(mutants(source))
    chosen = found[:: max(1, -(-len(found) // most))]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PACKAGE, Path(folder, "costspan"), ignore=shutil.ignore_patterns("__pycache__"))
        target = Path(folder, "costspan", module)
        if is_noticed(Path(folder), TESTS[module]):
            raise SystemExit(f"{module}: its tests are red as it is")
        alive = 0
        for name, text in chosen:
            target.write_text(text)
            if not is_noticed(Path(folder), TESTS[module]):
                alive += 1
                yield f"{module}:{name}"
    yield f"{module}: {len(chosen)} of {len(found)} mutants, {len(chosen) - alive} noticed, {alive} not"


def main() -> None:
    """Print what no test notices."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=list(TESTS), help="as they are named in TESTS")
    parser.add_argument("--most", type=int, default=10, help="mutants of each module")
    arguments = parser.parse_args()
    for module in arguments.modules:
        for sentence in survivors(module, arguments.most):
            print(sentence, flush=True)


if __name__ == "__main__":
    main()
