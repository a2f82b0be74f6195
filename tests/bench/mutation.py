"""Flip every rounding direction and strictness in the rules, one at a time, and run the tests.

Run `python tests/bench/mutation.py [MODULE ...]` from the root of the tree; without names
every module of `models/margin` is taken. Prints killed/total per module and what survives.

The recorded answers are those of the committed selection unless FOREWARN_VECTORS names others.

Mutations: `mul_div_down` and `mul_div_up` change places, `mul_div_half_up` and
`mul_div_toward_zero` become `mul_div_down`; `//` rounds up; `math.floor` and `math.ceil`
change places; `<` becomes `<=`, `>` becomes `>=` and back. Each mutant is written into a copy
of the tree that one worker owns, and judged by the tests of its module only. Mutants listed
under `EQUIVALENT` are not run: the proof stands beside each.
"""

import argparse
import ast
import compileall
import os
import py_compile
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import hypothesis.strategies  # noqa: F401 - loaded once, for all children
import pytest

ROOT = Path(__file__).parents[2]
MARGIN = Path("models/margin")
WORKERS = 2
LIMIT_SECONDS = 180
OPTIONS = ("-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider")
STARTED_COPIES = ("models", "features", "tests", "pyproject.toml")

ROUNDINGS = {
    "mul_div_down": "mul_div_up",
    "mul_div_up": "mul_div_down",
    "mul_div_half_up": "mul_div_down",
    "mul_div_toward_zero": "mul_div_down",
}
WHOLE = {"floor": "ceil", "ceil": "floor"}
COMPARISONS = {ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">")}

LENDING = "property/test_lending.py"
PERPETUALS = "property/test_perpetuals.py"
AAVE_V3 = (
    "unit/test_aave_v3.py",
    "unit/test_aave_v3_limits.py",
    "conformance/test_aave_v3.py",
    "property/test_aave.py",
)
AAVE_V4 = ("unit/test_aave_v4.py", "conformance/test_aave_v4.py", "property/test_aave.py")
TESTS = {
    "aave_interest": ("conformance/test_aave_interest.py", *AAVE_V3),
    "aave_v3": AAVE_V3,
    "aave_v3_account": AAVE_V3,
    "aave_v3_limits": AAVE_V3,
    "aave_v3_liquidation": AAVE_V3,
    "aave_v3_positions": AAVE_V3,
    "aave_v3_terms": AAVE_V3,
    "aave_v4": AAVE_V4,
    "aave_v4_account": AAVE_V4,
    "aave_v4_liquidation": AAVE_V4,
    "aave_v4_positions": AAVE_V4,
    "checked": ("unit/test_fixed_point.py",),
    "collateral": ("unit/test_collateral.py", "property/test_composed.py"),
    "composed": ("unit/test_composed.py", "property/test_composed.py"),
    "compound_v2": ("unit/test_compound_v2.py", "conformance/test_compound_v2.py", LENDING),
    "compound_v3": ("unit/test_compound_v3.py", "conformance/test_compound_v3.py", LENDING),
    "dydx_v4": ("unit/test_dydx_v4.py", "conformance/test_dydx_v4.py", PERPETUALS),
    "euler_v2": ("unit/test_euler_v2.py", "conformance/test_euler_v2.py", LENDING),
    "fixed_point": ("unit/test_fixed_point.py", "conformance/test_maker.py"),
    "flat_margin": ("unit/test_flat_margin.py", "conformance/test_flat_margin.py"),
    "fluid": ("unit/test_fluid.py", "conformance/test_fluid.py", LENDING),
    "gmx_v2": ("unit/test_gmx_v2.py", "conformance/test_gmx_v2.py", PERPETUALS),
    "hyperliquid": ("unit/test_hyperliquid.py", "conformance/test_hyperliquid.py", PERPETUALS),
    "maker": ("unit/test_maker.py", "conformance/test_maker.py"),
    "morpho_blue": ("unit/test_morpho_blue.py", "conformance/test_morpho_blue.py", LENDING),
    "oracles": ("unit/test_oracles.py", "property/test_oracles.py"),
    "perpetual": (
        "unit/test_perpetual.py",
        "unit/test_tiered_perp.py",
        "unit/test_flat_margin.py",
        "conformance/test_tiered_perp.py",
        PERPETUALS,
    ),
    "portfolio": ("unit/test_portfolio.py", "property/test_portfolio.py"),
    "reg_t": ("unit/test_reg_t.py", "property/test_reg_t.py"),
    "tiered_perp": ("unit/test_tiered_perp.py", "conformance/test_tiered_perp.py", PERPETUALS),
    "toxicity": ("unit/test_toxicity.py",),
    "trigger": ("unit/test_trigger.py",),
    "uniswap_v3": ("unit/test_uniswap_v3.py", "conformance/test_uniswap_v3.py"),
}

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "composed",
        "if surplus is None or surplus <= 0 or scope.message_delay > within:",
        "surplus < 0",
    ): "a surplus of zero is zero after any haircut",
    (
        "euler_v2",
        "if now >= ltv.target_timestamp or ltv.liquidation >= ltv.initial_liquidation:",
        "now > ltv.target_timestamp",
    ): "at the end of the ramp nothing of the drop is left",
    (
        "euler_v2",
        "if now >= ltv.target_timestamp or ltv.liquidation >= ltv.initial_liquidation:",
        "ltv.liquidation > ltv.initial_liquidation",
    ): "between equal limits there is no drop",
    (
        "euler_v2",
        "floor = WAD - mul_div_down(WAD, terms.max_liquidation_discount, BPS)",
        "mul_div_down -> mul_div_up",
    ): "WAD is a multiple of BPS: the division is exact",
    (
        "euler_v2",
        "return initial_side(position, prices, terms) if counted <= prices.keys() else None",
        "counted < prices.keys()",
    ): "the debt's own price is always there, and a vault's asset is no collateral of its own",
    (
        "fixed_point",
        "return product // c if (product >= 0) == (c > 0) else -(-product // c)",
        "product > 0",
    ): "a product of zero is zero on both branches",
    (
        "fixed_point",
        "return product // c if (product >= 0) == (c > 0) else -(-product // c)",
        "c >= 0",
    ): "a divisor of zero raises on both branches",
    (
        "maker",
        "if art > dart:",
        "art >= dart",
    ): "with nothing left over, dust above zero takes all, dust of zero leaves dart as it is",
    (
        "oracles",
        "return snapshot_ratio * growth_bps * CAPO_SCALE // BPS // YEAR",
        "snapshot_ratio * growth_bps * CAPO_SCALE // BPS rounded up",
    ): "CAPO_SCALE is a multiple of BPS: the division is exact",
    (
        "oracles",
        "if base.value > 0 and ratio > 0 and at.timestamp() >= cap.snapshot_at:",
        "base.value >= 0",
    ): "a base of zero gives a product of zero, as the other branch does",
    (
        "oracles",
        "if base.value > 0 and ratio > 0 and at.timestamp() >= cap.snapshot_at:",
        "ratio >= 0",
    ): "a ratio of zero gives a product of zero, as the other branch does",
    (
        "oracles",
        "value = mul_div_toward_zero(base.value, counted, 10**cap.ratio_decimals)",
        "mul_div_toward_zero -> mul_div_down",
    ): "base and ratio are positive here, and a cap is not negative",
    (
        "trigger",
        "step = 1 if goal > near else -1",
        "goal >= near",
    ): "the goal's answer differs from that at the start, so they are not one point",
    (
        "trigger",
        "while abs(goal - same) > reach and is_breached(same + step * reach) == start:",
        "abs(goal - same) >= reach",
    ): "at equality the point asked is the goal, whose answer differs: the loop ends as well",
    (
        "trigger",
        "other = goal if abs(goal - same) <= reach else same + step * reach",
        "abs(goal - same) < reach",
    ): "at equality both are the goal",
    (
        "trigger",
        "middle = (same + other) // 2",
        "(same + other) // 2 rounded up",
    ): "more than one apart, both middles lie strictly between: the boundary is one and the same",
    (
        "uniswap_v3",
        "power, powers = one * 10_000 // 10_001, []",
        "one * 10_000 // 10_001 rounded up",
    ): "one unit in 2^2048: all twenty factors, to 128 bits, come out equal",
    (
        "uniswap_v3",
        "if tick > 0:",
        "tick >= 0",
    ): "at tick 0 the ratio becomes 2^128 - 1, which the last step rounds up to the same 2^96",
    (
        "uniswap_v3",
        "ratio = MAX_UINT256 // ratio",
        "MAX_UINT256 // ratio rounded up",
    ): "equal at every one of the 887,272 ticks above zero, as the last step rounds up anyway",
    (
        "perpetual",
        "return leg.asset, leg.quantity > 0",
        "leg.quantity >= 0",
    ): "an empty leg adds nothing to either side",
    (
        "perpetual",
        "if tier.floor > 0",
        "tier.floor >= 0",
    ): "a floor of zero adds a piece of no width, whose root the next piece has too",
    (
        "perpetual",
        "return (left <= 0) != (right <= 0)",
        "left < 0",
    ): "left = 0 is a root of the left piece, found there (its slope is zero at rate 1 only)",
    (
        "perpetual",
        "return (left <= 0) != (right <= 0)",
        "right < 0",
    ): "right = 0 is a root of the right piece, found there (its slope is zero at rate 1 only)",
    (
        "perpetual",
        "return leverage if leverage and leverage > 0 else None",
        "leverage >= 0",
    ): "zero is excluded before",
}
"""(module, line as it stands, mutation) to why no input can tell the mutant apart."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the text between two offsets of a module becomes another."""

    path: Path
    line: int
    start: int
    end: int
    text: str
    what: str

    @property
    def module(self) -> str:
        """Name of the module without its package."""
        return self.path.stem

    def applied(self, source: str) -> str:
        """Return the module's source with the change made."""
        return source[: self.start] + self.text + source[self.end :]

    def source_line(self, source: str) -> str:
        """Return the line that the change starts in."""
        return source.splitlines()[self.line - 1].strip()


class Offsets:
    """Where in a source text a syntax node starts and ends."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.lines = source.splitlines(keepends=True)

    def of(self, node: ast.expr) -> tuple[int, int]:
        """Return the offsets of a node in characters; the parser counts bytes."""
        return (
            self.at(node.lineno, node.col_offset),
            self.at(node.end_lineno or 0, node.end_col_offset or 0),
        )

    def at(self, line: int, column: int) -> int:
        """Return the offset of a place."""
        before = self.lines[line - 1].encode()[:column].decode()
        return self.starts[line - 1] + len(before)

    def text(self, node: ast.expr) -> str:
        """Return the source of a node."""
        start, end = self.of(node)
        return self.source[start:end]


@cache
def source_of(path: Path) -> str:
    """Return a module's source as it was when first asked for; the tree may be edited since."""
    return (ROOT / path).read_text()


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of one module."""
    source = source_of(path)
    where = Offsets(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.expr):
            for start, end, text, what in changes(node, where):
                yield Mutant(path, node.lineno, start, end, text, what)


def changes(node: ast.expr, where: Offsets) -> Iterator[tuple[int, int, str, str]]:
    """Yield (start, end, text, description) of each change that one node allows."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()) if name in ROUNDINGS:
            other = ROUNDINGS[name]
            found = f"__import__('models.margin.fixed_point', fromlist=['{other}']).{other}"
            yield *where.of(node), found, f"{name} -> {other}"
        case ast.Attribute(value=ast.Name(id="math"), attr=attribute) if attribute in WHOLE:
            other = WHOLE[attribute]
            yield *where.of(node), f"math.{other}", f"{attribute} -> {other}"
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            up = f"(-(-({where.text(left)}) // ({where.text(right)})))"
            yield *where.of(node), up, f"{where.text(node)} rounded up"
        case ast.Compare():
            yield from stricter(node, where)


def stricter(node: ast.Compare, where: Offsets) -> Iterator[tuple[int, int, str, str]]:
    """Yield the changes of strictness in one comparison."""
    sides = [node.left, *node.comparators]
    for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
        if type(operator) in COMPARISONS:
            old, new = COMPARISONS[type(operator)]
            start, end = where.of(left)[1], where.of(right)[0]
            text = where.source[start:end].replace(old, new, 1)
            yield start, end, text, f"{where.text(left)} {new} {where.text(right)}"


def tree() -> Path:
    """Return a copy of what the tests need, with bytecode that is checked by content."""
    copy = Path(tempfile.mkdtemp(prefix="mutation-"))
    for name in STARTED_COPIES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    # keyed by time and size, as is usual, a mutant could be taken for its original
    compileall.compile_dir(
        copy / "models", quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
    )
    return copy


def started(copy: Path, module: str) -> int:
    """Run the module's tests in a copy of the tree in a child; return its process id."""
    child = os.fork()
    if child:
        return child
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    signal.alarm(LIMIT_SECONDS)
    files = [f"tests/{name}" for name in TESTS[module] if (copy / "tests" / name).exists()]
    try:
        # file by file: what the first one kills need not collect the others
        os._exit(next(filter(None, (pytest.main([*OPTIONS, file]) for file in files)), 0))
    finally:
        os._exit(1)


def is_sound(copy: Path, module: str) -> bool:
    """Return whether the module's tests pass without any mutation."""
    _, status = os.waitpid(started(copy, module), 0)
    return status == 0


def survivors(tried: Sequence[Mutant], copies: Sequence[Path]) -> list[Mutant]:
    """Return the mutants that their tests do not tell from the original."""
    waiting, free = list(reversed(tried)), list(copies)
    running: dict[int, tuple[Mutant, Path]] = {}
    alive: list[Mutant] = []
    while waiting or running:
        while waiting and free:
            mutant, copy = waiting.pop(), free.pop()
            source = source_of(mutant.path)
            (copy / mutant.path).write_text(mutant.applied(source))
            running[started(copy, mutant.module)] = mutant, copy
        child, status = os.wait()
        mutant, copy = running.pop(child)
        (copy / mutant.path).write_text(source_of(mutant.path))
        free.append(copy)
        if status == 0:
            alive.append(mutant)
    return sorted(alive, key=lambda mutant: mutant.start)


def is_equivalent(mutant: Mutant) -> bool:
    """Return whether the table proves that nothing can tell the mutant apart."""
    source = source_of(mutant.path)
    return (mutant.module, mutant.source_line(source), mutant.what) in EQUIVALENT


def judged(path: Path, copies: Sequence[Path]) -> tuple[int, int]:
    """Print one module's line with its survivors; return killed and total."""
    found = list(mutants(path))
    proven = [mutant for mutant in found if is_equivalent(mutant)]
    tried = [mutant for mutant in found if mutant not in proven]
    if not is_sound(copies[0], path.stem):
        sys.exit(f"the tests of {path.stem} fail without any mutation")
    sys.dont_write_bytecode = True
    alive = survivors(tried, copies)
    sys.dont_write_bytecode = False
    killed = len(tried) - len(alive)
    print(f"{path.stem}: {killed}/{len(tried)} killed, {len(proven)} equivalent", flush=True)
    for mutant in alive:
        line = mutant.source_line(source_of(path))
        print(f"  {path}:{mutant.line}: {mutant.what}    [{line}]", flush=True)
    return killed, len(tried)


def main() -> None:
    """Judge the modules named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--workers", type=int, default=WORKERS)
    asked = parser.parse_args()
    found = {path.stem: path.relative_to(ROOT) for path in (ROOT / MARGIN).rglob("*.py")}
    paths = [found[name] for name in asked.modules or TESTS]
    for path in paths:
        source_of(path)
    os.environ.setdefault("FOREWARN_VECTORS", str(ROOT / "tests" / "conformance" / "vectors"))
    copies = [tree() for _ in range(asked.workers)]
    try:
        counts = [judged(path, copies) for path in paths]
    finally:
        for copy in copies:
            shutil.rmtree(copy)
    print(f"all: {sum(k for k, _ in counts)}/{sum(n for _, n in counts)} killed")


if __name__ == "__main__":
    main()
