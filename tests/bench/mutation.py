"""Flip every rounding direction and strictness in the rules, one at a time, and run the tests.

Run `python tests/bench/mutation.py [MODULE ...]` from the root of the tree; without names
every module of `models/margin` is taken. Prints killed/total per module, how many are proven
equivalent, and what survives; exits with 1 if anything does.

Mutations: `mul_div_down` and `mul_div_up` change places, `mul_div_half_up` and
`mul_div_toward_zero` become `mul_div_down`; `//` and `>>` round up; `math.floor` and `math.ceil`
change places; `<` becomes `<=`, `>` becomes `>=` and back.

The tests are collected once. Each mutant is a child in which the code of its functions is
exchanged, judged by the tests of its module up to the first that fails; taking far longer than
the original is failing too. Properties draw the same examples every time. Mutants in
`equivalent.toml` are not run: the reason stands beside each. The recorded answers are those of
the committed selection unless FOREWARN_VECTORS names others.
"""

import argparse
import ast
import gc
import importlib
import os
import signal
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import _lru_cache_wrapper
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).parents[2]
MARGIN = ROOT / "models" / "margin"
PLUGINS = ("-p", "no:terminal", "-p", "no:cacheprovider", "--assert=plain", "--capture=no")
OPTIONS = (
    *PLUGINS,
    "-o",
    "addopts=",
    "--import-mode=importlib",
    "--rootdir",
    str(ROOT),
    "--hypothesis-profile=mutation",
)

ROUNDINGS = {
    "mul_div_down": "mul_div_up",
    "mul_div_up": "mul_div_down",
    "mul_div_half_up": "mul_div_down",
    "mul_div_toward_zero": "mul_div_down",
}
WHOLE = {"floor": "ceil", "ceil": "floor"}
COMPARISONS = {
    ast.Lt: (ast.LtE, "<="),
    ast.LtE: (ast.Lt, "<"),
    ast.Gt: (ast.GtE, ">="),
    ast.GtE: (ast.Gt, ">"),
}

KINDS = ("unit", "conformance", "property")
AAVE_V3 = [f"aave_v3_{part}" for part in ("account", "limits", "liquidation", "positions", "terms")]
AAVE_V4 = ("aave_v4", "aave_v4_account", "aave_v4_liquidation", "aave_v4_positions")
LENDING = ("compound_v2", "compound_v3", "euler_v2", "fluid", "morpho_blue")
ALSO = {
    **dict.fromkeys(("aave_interest", "aave_v3", *AAVE_V3), ("aave_v3", "aave_v3_limits", "aave")),
    **dict.fromkeys(AAVE_V4, ("aave_v4", "aave")),
    **dict.fromkeys(LENDING, ("lending",)),
    **dict.fromkeys(("dydx_v4", "gmx_v2", "hyperliquid", "tiered_perp"), ("perpetuals",)),
    "uint": ("fixed_point",),
    "collateral": ("composed",),
    "fixed_point": ("maker",),
    "shock": ("shocks",),
    "perpetual": ("tiered_perp", "flat_margin", "perpetuals"),
}
"""The tests of a module are those named after it, and after these."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a module: where, what, and the compiled whole."""

    path: Path
    line: int
    source_line: str
    what: str
    code: CodeType

    @property
    def key(self) -> tuple[str, str, str]:
        """What the table of equivalent mutants knows this one by."""
        return self.path.stem, self.source_line, self.what


def tests_of(module: str) -> list[Path]:
    """Return the test files of a module, in the order they are run in."""
    names = dict.fromkeys((module, *ALSO.get(module, ())))
    return [
        file
        for kind in KINDS
        for name in names
        for file in sorted((ROOT / "tests" / kind).rglob(f"test_{name}.py"))
    ]


def package_of(path: Path) -> str:
    """Return the dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of one module."""
    source = path.read_text()
    lines, tree = source.splitlines(), ast.parse(source)
    for node in [node for node in ast.walk(tree) if isinstance(node, ast.expr)]:
        for what in changes(node, source):
            code = compile(ast.fix_missing_locations(tree), path, "exec")
            yield Mutant(path, node.lineno, lines[node.lineno - 1].strip(), what, code)


def changes(node: ast.expr, source: str) -> Iterator[str]:
    """Make each change that a node allows, say which it is, and take it back."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()) if name in ROUNDINGS:
            node.id = ROUNDINGS[name]
            yield f"{name} -> {node.id}"
            node.id = name
        case ast.Attribute(value=ast.Name(id="math"), attr=name) if name in WHOLE:
            node.attr = WHOLE[name]
            yield f"{name} -> {node.attr}"
            node.attr = name
        case ast.BinOp(left=left, op=ast.FloorDiv() | ast.RShift(), right=right):
            negative = ast.BinOp(ast.UnaryOp(ast.USub(), left), node.op, right)
            node.left, node.op, node.right = ast.Constant(-1), ast.Mult(), negative
            yield f"{ast.get_source_segment(source, node)} rounded up"
            node.left, node.op, node.right = left, negative.op, right
        case ast.Compare(left=first, ops=operators, comparators=others):
            for i, (left, old) in enumerate(zip([first, *others], operators, strict=False)):
                if type(old) in COMPARISONS:
                    new, sign = COMPARISONS[type(old)]
                    sides = (ast.get_source_segment(source, side) for side in (left, others[i]))
                    operators[i] = new()
                    yield f" {sign} ".join(str(side) for side in sides)
                    operators[i] = old


def nested(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all within it, outermost first."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def functions_by_code() -> dict[tuple[str, CodeType], list[FunctionType]]:
    """Return the functions of the rules that exist, wherever they are held."""
    found = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and str(one.__module__).startswith("models.margin"):
            found[one.__module__, one.__code__].append(one)
    return found


def roundings() -> dict[str, Any]:
    """Return the functions that a change may name and a module need not have imported."""
    found = vars(importlib.import_module("models.margin.fixed_point"))
    return {name: found[name] for name in ROUNDINGS}


def forget() -> None:
    """Clear what the rules remember of earlier calls."""
    for one in gc.get_objects():
        if isinstance(one, _lru_cache_wrapper) and one.__module__.startswith("models."):
            one.cache_clear()


class Judge:
    """A pytest plugin that runs the collected tests once per mutant instead of once."""

    def __init__(self, paths: Sequence[Path], workers: int) -> None:
        self.paths = paths
        self.workers = workers
        table = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text())
        self.proven = {(one["module"], one["line"], one["change"]) for one in table["mutant"]}
        self.killed = self.total = self.equivalent = 0
        self.functions: dict[tuple[str, CodeType], list[FunctionType]] = {}
        self.items: dict[str, list[pytest.Item]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge every module with the tests that were collected."""
        self.functions = functions_by_code()
        for path in self.paths:
            rank = {file: i for i, file in enumerate(tests_of(path.stem))}
            chosen = [item for item in session.items if item.path in rank]
            self.items[path.stem] = sorted(chosen, key=lambda item: rank[item.path])
            self.judge(path)
        return True

    def judge(self, path: Path) -> None:
        """Print one module's line with its survivors."""
        found = list(mutants(path))
        if not found:
            return
        stale = {key for key in self.proven if key[0] == path.stem} - {one.key for one in found}
        if stale:
            sys.exit(f"equivalent.toml names what is no mutant: {stale}")
        _, status, usage = os.wait4(self.started(path.stem, None, limit=0), 0)
        if status != 0:
            sys.exit(f"the tests of {path.stem} are missing or fail without any mutation")
        limit = 10 + 3 * usage.ru_utime
        tried = [mutant for mutant in found if mutant.key not in self.proven]
        alive = self.survivors(tried, limit)
        killed, proven = len(tried) - len(alive), len(found) - len(tried)
        print(f"{path.stem}: {killed}/{len(tried)} killed, {proven} equivalent", flush=True)
        for one in alive:
            print(f"  {path.name}:{one.line}: {one.what}    [{one.source_line}]", flush=True)
        self.killed, self.total = self.killed + killed, self.total + len(tried)
        self.equivalent += proven

    def survivors(self, tried: Sequence[Mutant], limit: float) -> list[Mutant]:
        """Return the mutants that their tests do not tell from the original."""
        waiting, alive = list(reversed(tried)), []
        running: dict[int, Mutant] = {}
        while waiting or running:
            while waiting and len(running) < self.workers:
                mutant = waiting.pop()
                running[self.started(mutant.path.stem, mutant, limit)] = mutant
            child, status = os.wait()
            mutant, code = running.pop(child), os.waitstatus_to_exitcode(status)
            if code not in {0, 1, -signal.SIGPROF}:
                sys.exit(f"{mutant.key} could not be judged: {code}")
            alive += [mutant] * (code == 0)
        return sorted(alive, key=lambda mutant: mutant.line)

    def started(self, module: str, mutant: Mutant | None, limit: float) -> int:
        """Run a module's tests in a child of limited seconds of its own; return its id."""
        child = os.fork()
        if child:
            return child
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        signal.setitimer(signal.ITIMER_PROF, limit)
        try:
            if mutant is None or self.exchanged(mutant):
                os._exit(failed(self.items[module]))
            os._exit(failed_anew(mutant))
        finally:
            os._exit(2)

    def exchanged(self, mutant: Mutant) -> bool:
        """Exchange the code of the functions changed; return whether there is any."""
        original = compile(mutant.path.read_text(), mutant.path, "exec")
        pairs = zip(nested(original), nested(mutant.code), strict=True)
        name, exchanged = package_of(mutant.path), False
        for old, new in ((old, new) for old, new in pairs if old != new):
            for one in self.functions.get((name, old), ()):
                one.__code__, exchanged = new, True
                one.__globals__.update(roundings() | one.__globals__)
        forget()
        return exchanged


def failed(items: Sequence[pytest.Item]) -> bool:
    """Run tests up to the first failure; return whether one fails or there are none."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return True
    return not items


def failed_anew(mutant: Mutant) -> bool:
    """Run the module's tests with everything imported again, on top of the changed module."""
    for name in list(sys.modules):
        if name.split(".")[0] in {"models", "features", "tests"}:
            del sys.modules[name]
    name = package_of(mutant.path)
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(roundings(), __file__=str(mutant.path))
    exec(mutant.code, vars(module))  # noqa: S102 - this is the mutant
    return bool(pytest.main([*OPTIONS, "-x", *map(str, tests_of(mutant.path.stem))]))


def main() -> None:
    """Judge the modules named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    found = {path.stem: path for path in sorted(MARGIN.rglob("*.py"))}
    paths = [found[name] for name in asked.modules or found]
    files = sorted({str(file) for path in paths for file in tests_of(path.stem)})
    os.environ.setdefault("FOREWARN_VECTORS", str(ROOT / "tests" / "conformance" / "vectors"))
    sys.path.insert(0, str(ROOT))
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    checks = list(hypothesis.HealthCheck)
    hypothesis.settings.register_profile(
        "mutation", deadline=None, derandomize=True, phases=phases, suppress_health_check=checks
    )
    judge = Judge(paths, asked.workers)
    status = pytest.main([*OPTIONS, *files], plugins=[judge])
    print(f"all: {judge.killed}/{judge.total} killed, {judge.equivalent} equivalent")
    sys.exit(bool(status) or judge.killed < judge.total)


if __name__ == "__main__":
    main()
