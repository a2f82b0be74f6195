"""Boosters flattened into arrays and walked eight rows at a time, to the same bits.

Every tree lies in one array of nodes, children side by side, and every leaf leads to the root
of the next tree: a row walks a chain of trees without a branch that a processor could guess
wrong. Values are compared by their rank among a feature's thresholds, which orders them as the
thresholds themselves do, in two bytes. Leaf values are added tree by tree in the booster's own
order, so that the sum is the booster's to the last bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.uint16]

LANES = 8
BLOCK = 64
"""Rows ranked at a time: with the nodes of a chain they stay in the nearest cache."""

MOST_COUNTED = 128
"""Thresholds up to which comparing with each, eight rows at once, beats a search."""

CHAIN_NODES = 2048
HIGHEST_RANK = 65_535
NO_FEATURE = -1
ZERO_WIDTH = float(np.float32(1e-35))
"""LightGBM reads what is not larger than this as 0."""

CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_ZERO, MISSING_NAN = 1, 2
MISSING_GOES_LEFT, ZERO_IS_MISSING = 1, 2
PROBES = 512


class Unwalkable(ValueError):  # noqa: N818 - named for what is found
    """A booster of a kind that is not flattened, such as one with categories."""


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Boosters over one feature matrix, as arrays.

    Parameters
    ----------
    width
        Number of features F.
    boosters
        Number of boosters K.
    nodes
        Packed as child · 2^32 + column · 2^16 + rank, shape (M,). A row goes to `child` where
        its rank in `column` is not above `rank`, else to `child` + 1.
    leaves
        Value added on arriving at a node, 0 at a split, shape (M,).
    means
        Mean value of the training rows at a node, shape (M,).
    split_features
        Feature of a split, -1 elsewhere, shape (M,).
    chains
        Booster, first and last node of every chain of trees, shape (C, 3).
    columns
        Feature of a column of ranks and how it reads what is missing, shape (L, 2),
        ascending.
    cuts, cut_starts
        Distinct thresholds by feature, ascending; where those of a feature begin, (F + 1,).
    bases
        Sum of the roots' means per booster, shape (K,).
    """

    width: int
    boosters: int
    nodes: Ints
    leaves: Floats
    means: Floats
    split_features: Ints
    chains: Ints
    columns: Ints
    cuts: Floats
    cut_starts: Ints
    bases: Floats

    def raw(self, features: Floats) -> Floats:
        """Return the raw score of every booster, bit for bit that of `Booster.predict`.

        Parameters
        ----------
        features
            Shape (N, F).

        Returns
        -------
        numpy.ndarray
            Shape (N, K).

        Raises
        ------
        ValueError
            When the matrix has another width.
        """
        matrix = self._matrix(features)
        shape = (self.boosters, len(matrix) + LANES)
        scores = np.zeros(shape)
        _walk(matrix, self.nodes, self.leaves, self.chains, self._ranking(), scores)
        return np.ascontiguousarray(scores[:, : len(matrix)].T)

    def paths(self, features: Floats, weights: Floats) -> Floats:
        """Return what every feature added along the paths a row took (Saabas, 2014).

        Parameters
        ----------
        weights
            Of the boosters, row by row, shape (N, K).

        Returns
        -------
        numpy.ndarray
            Log-odds, shape (N, F). With the sum of the trees' means they make up the weighted
            raw score but for the rounding of the sum (relative 1e-12).

        Notes
        -----
        At every split the change of the mean from a node to its child is booked to the
        feature that was asked. About as fast as the score itself, where exact TreeSHAP costs
        hundreds of times as much; it shares interactions out by the order of the splits.
        """
        matrix = self._matrix(features)
        out = np.zeros(matrix.shape)
        splits = (self.means, self.split_features)
        given = np.ascontiguousarray(weights, dtype=np.float64)
        _book(matrix, self.nodes, splits, self.chains, self._ranking(), given, out)
        return out

    def _matrix(self, features: Floats) -> Floats:
        """Return the rows as the kernels read them."""
        if features.ndim != 2 or features.shape[1] != self.width:  # noqa: PLR2004 - rows, features
            raise ValueError(f"features have shape {features.shape}, wanted (N, {self.width})")
        return np.ascontiguousarray(features, dtype=np.float64)

    def _ranking(self) -> tuple[Ints, Floats, Ints]:
        """Return what turns values into ranks."""
        return self.columns, self.cuts, self.cut_starts


@dataclass(frozen=True, slots=True, eq=False)
class _Tree:
    """One tree as LightGBM writes it; children below 0 are leaves, counted from -1."""

    features: Ints
    thresholds: Floats
    kinds: Ints
    left: Ints
    right: Ints
    leaves: Floats
    counts: Floats

    @property
    def size(self) -> int:
        """Number of nodes, leaves included."""
        return 2 * len(self.features) + 1

    def places(self) -> tuple[Ints, Ints]:
        """Return where splits and leaves stand: split k has its children at 2k+1 and 2k+2."""
        order = np.arange(len(self.features), dtype=np.int64)
        splits = np.zeros(len(self.features), dtype=np.int64)
        leaves = np.zeros(len(self.leaves), dtype=np.int64)
        for children, slot in ((self.left, 2 * order + 1), (self.right, 2 * order + 2)):
            inner = children >= 0
            splits[children[inner]] = slot[inner]
            leaves[~children[~inner]] = slot[~inner]
        return splits, leaves

    def means(self) -> tuple[Floats, Floats]:
        """Return the mean value at every split, weighted by training rows, and at every leaf."""
        size = len(self.features)
        total, count = np.zeros(size), np.zeros(size)
        for k in range(size - 1, -1, -1):  # children are always split after their parent
            for child in (int(self.left[k]), int(self.right[k])):
                leaf = ~child
                count[k] += count[child] if child >= 0 else self.counts[leaf]
                total[k] += total[child] if child >= 0 else self.counts[leaf] * self.leaves[leaf]
        return total / np.maximum(count, 1.0), self.leaves


def flatten(texts: Sequence[str]) -> Forest:
    """Flatten boosters that read the same features.

    Parameters
    ----------
    texts
        As of `Booster.model_to_string`.

    Raises
    ------
    Unwalkable
        When a booster has categories, linear leaves, several classes, or averaged output.
    """
    parsed = [_parse(text) for text in texts]
    widths = {width for width, _ in parsed}
    if len(widths) != 1:
        raise Unwalkable(f"boosters read {sorted(widths)} features, wanted one width")
    width = widths.pop()
    cuts = _cuts([tree for _, trees in parsed for tree in trees], width)
    columns = _columns([tree for _, trees in parsed for tree in trees])
    return _lay([trees for _, trees in parsed], cuts, columns)


def verified(
    texts: Sequence[str], reference: Callable[[Floats], Floats], *, seed: int = 0
) -> Forest | None:
    """Return the flattened boosters, or None where one bit differs from the reference.

    Parameters
    ----------
    texts
        As of `Booster.model_to_string`.
    reference
        Raw scores by the boosters themselves: (N, F) in, (N, K) out.
    seed
        Of the probe rows.
    """
    try:
        forest = flatten(texts)
    except Unwalkable:
        return None
    rows = probes(forest, seed=seed)
    expected = np.ascontiguousarray(reference(rows), dtype=np.float64)
    return forest if forest.raw(rows).tobytes() == expected.tobytes() else None


def probes(forest: Forest, *, seed: int) -> Floats:
    """Return rows at, just above and between thresholds, with zeros and missing values."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(0.0, 3.0, (PROBES, forest.width))
    for feature in range(forest.width):
        thresholds = forest.cuts[forest.cut_starts[feature] : forest.cut_starts[feature + 1]]
        if len(thresholds):
            drawn = generator.choice(thresholds, PROBES)
            above = np.nextafter(drawn, np.inf)
            rows[:, feature] = np.where(generator.random(PROBES) < 0.5, drawn, above)  # noqa: PLR2004 - half
    special = generator.choice([np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-36], rows.shape)
    return np.where(generator.random(rows.shape) < 0.15, special, rows)  # noqa: PLR2004 - a few


def _parse(text: str) -> tuple[int, list[_Tree]]:
    """Return the number of features and the trees of a booster's text."""
    head, *sections = text.split("end of trees", maxsplit=1)[0].split("\nTree=")
    header = _fields(head)
    if header.get("num_tree_per_iteration") != "1":
        raise Unwalkable("several classes")
    if "average_output" in head.splitlines():
        raise Unwalkable("averaged output")
    return int(header["max_feature_idx"]) + 1, [_tree(_fields(section)) for section in sections]


def _fields(section: str) -> Mapping[str, str]:
    """Return name and value of every line `name=value`."""
    pairs = (line.split("=", 1) for line in section.splitlines() if "=" in line)
    return {pair[0]: pair[1] for pair in pairs}


def _tree(fields: Mapping[str, str]) -> _Tree:
    """Return one tree of a booster's text."""
    if fields.get("num_cat", "0") != "0" or fields.get("is_linear", "0") != "0":
        raise Unwalkable("categories or linear leaves")
    numbers = {
        name: np.array(fields.get(name, "").split(), dtype=np.float64)
        for name in ("split_feature", "threshold", "decision_type", "left_child", "right_child")
    }
    leaves = np.array(fields["leaf_value"].split(), dtype=np.float64)
    counts = np.array(fields.get("leaf_count", "").split(), dtype=np.float64)
    kinds = numbers["decision_type"].astype(np.int64)
    if (kinds & CATEGORICAL).any() or np.isnan(numbers["threshold"]).any():
        raise Unwalkable("categories or thresholds that are not numbers")
    return _Tree(
        features=numbers["split_feature"].astype(np.int64),
        thresholds=numbers["threshold"],
        kinds=kinds,
        left=numbers["left_child"].astype(np.int64),
        right=numbers["right_child"].astype(np.int64),
        leaves=leaves,
        counts=counts if len(counts) == len(leaves) else np.ones(len(leaves)),
    )


def _cuts(trees: Sequence[_Tree], width: int) -> list[Floats]:
    """Return the distinct thresholds of every feature, ascending."""
    features = np.concatenate([tree.features for tree in trees])
    thresholds = np.concatenate([tree.thresholds for tree in trees])
    cuts = [np.unique(thresholds[features == feature]) for feature in range(width)]
    if max(map(len, cuts)) >= HIGHEST_RANK:
        raise Unwalkable(f"more than {HIGHEST_RANK - 1} thresholds of one feature")
    return cuts


def _readings(tree: _Tree) -> Ints:
    """Return how each split reads what is missing: bits MISSING_GOES_LEFT, ZERO_IS_MISSING.

    Where a split has no missing values of its own, LightGBM reads them as 0.
    """
    missing = tree.kinds >> 2 & 3
    default = (tree.kinds & DEFAULT_LEFT) != 0
    goes_left = np.where(missing == 0, tree.thresholds >= 0.0, default)
    return goes_left * MISSING_GOES_LEFT + (missing == MISSING_ZERO) * ZERO_IS_MISSING


def _columns(trees: Sequence[_Tree]) -> Ints:
    """Return the distinct pairs of feature and reading, ascending, at least one."""
    pairs = [np.stack([tree.features, _readings(tree)], axis=1) for tree in trees]
    distinct = np.unique(np.concatenate([*pairs, np.zeros((1, 2), dtype=np.int64)]), axis=0)
    if len(distinct) >= HIGHEST_RANK:
        raise Unwalkable(f"more than {HIGHEST_RANK - 1} columns")
    return distinct.astype(np.int64)


def _lay(boosters: Sequence[Sequence[_Tree]], cuts: Sequence[Floats], columns: Ints) -> Forest:
    """Lay all trees into one array of nodes, chain after chain."""
    chained = [(k, trees) for k, booster in enumerate(boosters) for trees in _chains(booster)]
    size = sum(tree.size for _, trees in chained for tree in trees) + len(chained)
    child, column = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    rank = np.full(size, HIGHEST_RANK, dtype=np.int64)
    leaves, means = np.zeros(size), np.zeros(size)
    features = np.full(size, NO_FEATURE, dtype=np.int64)
    chains = np.zeros((len(chained), 3), dtype=np.int64)
    bases = np.zeros(len(boosters))
    place = 0
    for number, (k, trees) in enumerate(chained):
        first = place
        for tree in trees:
            splits, ends = (place + part for part in tree.places())
            means[splits], means[ends] = tree.means()
            leaves[ends] = tree.leaves
            features[splits] = tree.features
            child[splits] = place + 1 + 2 * np.arange(len(splits))
            child[ends] = place + tree.size
            column[splits] = _column(tree, columns)
            rank[splits] = _rank(tree, cuts)
            bases[k] += means[place]
            place += tree.size
        child[place] = place
        chains[number] = (k, first, place)
        place += 1
    return Forest(
        width=len(cuts),
        boosters=len(boosters),
        nodes=child << 32 | column << 16 | rank,
        leaves=leaves,
        means=means,
        split_features=features,
        chains=chains,
        columns=columns,
        cuts=np.concatenate([*cuts, np.zeros(1)]),
        cut_starts=np.cumsum([0, *map(len, cuts)]).astype(np.int64),
        bases=bases,
    )


def _chains(trees: Sequence[_Tree]) -> Iterator[list[_Tree]]:
    """Yield runs of trees whose nodes fit into the nearest cache together."""
    chain: list[_Tree] = []
    for tree in trees:
        if chain and sum(member.size for member in chain) + tree.size > CHAIN_NODES:
            yield chain
            chain = []
        chain.append(tree)
    if chain:
        yield chain


def _column(tree: _Tree, columns: Ints) -> Ints:
    """Return the column of ranks that each split reads."""
    keys = columns[:, 0] * 4 + columns[:, 1]
    return np.searchsorted(keys, tree.features * 4 + _readings(tree))


def _rank(tree: _Tree, cuts: Sequence[Floats]) -> Ints:
    """Return the place of each split's threshold among its feature's."""
    pairs = zip(tree.features, tree.thresholds, strict=True)
    return np.array([np.searchsorted(cuts[f], cut) for f, cut in pairs], dtype=np.int64)


@numba.njit(cache=True, nogil=True)
def _rank_rows(
    matrix: Floats, first: int, size: int, ranking: tuple[Ints, Floats, Ints], ranks: Ranks
) -> None:
    """Write the ranks of some rows: how many thresholds of the feature lie below the value."""
    columns, cuts, starts = ranking
    values, below = np.zeros(BLOCK), np.zeros(BLOCK, dtype=np.int64)
    previous = -1
    for column in range(len(columns)):
        feature, reading = columns[column]
        if feature != previous:
            previous = feature
            for row in range(size):
                value = matrix[first + row, feature]
                values[row] = 0.0 if abs(value) <= ZERO_WIDTH else value
            _count(values, size, cuts[starts[feature] : starts[feature + 1]], below)
        for row in range(size):
            is_missing = np.isnan(values[row]) or (values[row] == 0.0 and reading & ZERO_IS_MISSING)
            otherwise = 0 if reading & MISSING_GOES_LEFT else HIGHEST_RANK
            ranks[row, column] = otherwise if is_missing else below[row]


@numba.njit(cache=True, nogil=True)
def _count(values: Floats, size: int, cuts: Floats, below: Ints) -> None:
    """Count the ascending cuts less than each value: all of them, unless they are many."""
    if len(cuts) > MOST_COUNTED:
        for row in range(size):
            below[row] = _below(values[row], cuts, 0, len(cuts))
        return
    below[:size] = 0
    for cut in cuts:
        for row in range(size):
            below[row] += cut < values[row]


@numba.njit(cache=True, nogil=True)
def _below(value: float, cuts: Floats, begin: int, end: int) -> int:
    """Return how many of the ascending cuts[begin:end] are less than a value."""
    place, size = begin, end - begin
    while size > 1:
        half = size >> 1
        place = place + half if cuts[place + half - 1] < value else place
        size -= half
    return place - begin + (1 if size == 1 and cuts[place] < value else 0)


@numba.njit(inline="always")
def _next(nodes: Ints, ranks: Ranks, row: int, at: int) -> int:
    """Return the node after `at`, without a branch."""
    # A place without a sign is never counted from the end, which saves a test each.
    node = nodes[np.uint64(at)]
    rank = ranks[np.uint64(row + (node >> 16 & 0xFFFF))]
    return (node >> 32) + (np.int64(rank) > (node & 0xFFFF))


@numba.njit(cache=True, nogil=True)
def _walk(
    matrix: Floats,
    nodes: Ints,
    leaves: Floats,
    chains: Ints,
    ranking: tuple[Ints, Floats, Ints],
    scores: Floats,
) -> None:
    """Add every chain's leaves to scores of shape (K, N + LANES), eight rows at a time.

    Eight walks depend on nothing of one another, so a processor overlaps their loads.
    """
    wide = len(ranking[0])
    table = np.zeros((BLOCK, wide), dtype=np.uint16)
    ranks = table.reshape(-1)
    for begin in range(0, len(matrix), BLOCK):
        size = min(BLOCK, len(matrix) - begin)
        _rank_rows(matrix, begin, size, ranking, table)
        for chain in range(len(chains)):
            booster, root, end = chains[chain]
            for group in range(0, size, LANES):
                row = group * wide
                s = scores[booster, begin + group : begin + group + LANES]
                s0, s1, s2, s3, s4, s5, s6, s7 = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
                a = b = c = d = e = f = g = h = root
                while (
                    (a ^ end) | (b ^ end) | (c ^ end) | (d ^ end)
                    | (e ^ end) | (f ^ end) | (g ^ end) | (h ^ end)
                ):  # fmt: skip
                    for _ in range(4):
                        s0 += leaves[np.uint64(a)]
                        s1 += leaves[np.uint64(b)]
                        s2 += leaves[np.uint64(c)]
                        s3 += leaves[np.uint64(d)]
                        s4 += leaves[np.uint64(e)]
                        s5 += leaves[np.uint64(f)]
                        s6 += leaves[np.uint64(g)]
                        s7 += leaves[np.uint64(h)]
                        a = _next(nodes, ranks, row, a)
                        b = _next(nodes, ranks, row + wide, b)
                        c = _next(nodes, ranks, row + 2 * wide, c)
                        d = _next(nodes, ranks, row + 3 * wide, d)
                        e = _next(nodes, ranks, row + 4 * wide, e)
                        f = _next(nodes, ranks, row + 5 * wide, f)
                        g = _next(nodes, ranks, row + 6 * wide, g)
                        h = _next(nodes, ranks, row + 7 * wide, h)
                s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7] = s0, s1, s2, s3, s4, s5, s6, s7


@numba.njit(cache=True, nogil=True)
def _book(
    matrix: Floats,
    nodes: Ints,
    splits: tuple[Floats, Ints],
    chains: Ints,
    ranking: tuple[Ints, Floats, Ints],
    weights: Floats,
    out: Floats,
) -> None:
    """Book the weighted change of the mean at every split to its feature, into shape (N, F)."""
    means, features = splits
    wide = len(ranking[0])
    table = np.zeros((BLOCK, wide), dtype=np.uint16)
    ranks = table.reshape(-1)
    for begin in range(0, len(matrix), BLOCK):
        size = min(BLOCK, len(matrix) - begin)
        _rank_rows(matrix, begin, size, ranking, table)
        for chain in range(len(chains)):
            booster, root, end = chains[chain]
            for row in range(size):
                weight = weights[begin + row, booster]
                at = root if weight != 0.0 else end
                while at != end:
                    later = _next(nodes, ranks, row * wide, at)
                    if features[at] >= 0:
                        out[begin + row, features[at]] += weight * (means[later] - means[at])
                    at = later
