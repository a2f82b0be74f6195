"""Price over line of the past hours, whole stretches at a time, against hour by hour."""

import numpy as np
import pytest

from features.behaviour import MONTH
from features.inputs import HOUR, Floats
from features.owner_history import BUFFERS, DANGER, NEAR, _answers_of, _lived


def plainly(
    at: list[int], holdings: list[tuple[float, float]], now: tuple[float, float], second: int
) -> list[tuple[float, float]]:
    """Return what was collateral_then at each of the past hours, oldest first."""
    collateral_then = []
    for back in range(MONTH - 1, 0, -1):
        later = [k for k in range(len(at)) if at[k] >= second - back * HOUR]
        collateral_then.append(holdings[later[0]] if later else now)
    return collateral_then


def counted(ratio: Floats) -> list[float]:
    """Return hours seen, hours under each buffer and near misses of a path."""
    seen = ratio[~np.isnan(ratio)]
    limits = np.exp(np.array(BUFFERS))
    is_near = seen < limits[NEAR]
    misses = (is_near[:-1] & ~is_near[1:]).sum()
    return [len(seen), *((seen < limit).sum() for limit in limits), misses]


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_whole_stretches_give_what_single_hours_give(stride: int, seed: int) -> None:
    """With events between hours, times without debt, and candles that begin late or end early."""
    draw = np.random.default_rng(seed)
    count, second = 12, 3000 * HOUR
    at = np.sort(second - draw.integers(0, 900 * HOUR, count))
    collateral, debt = draw.random(count), draw.integers(0, 3, count) * 40.0
    kind = draw.integers(0, 5, count)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.02, 600 * stride)))
    close[draw.random(len(close)) < 0.02] = np.nan
    place = int(draw.integers(300, 800)) * stride
    one, now, line = np.array([0]), (1.1, 60.0), 1.2
    out = _lived(
        at, kind, collateral, debt, one + second, one, one + count, one + now[0], one + now[1],
        one + line, close, one + place, stride,
    )  # fmt: skip
    ratio = np.full(MONTH - 1, np.nan)
    holdings = list(zip(collateral.tolist(), debt.tolist(), strict=True))
    for hour, (collateral_then, owed) in enumerate(plainly(at.tolist(), holdings, now, second)):
        candle = place - (MONTH - 1 - hour) * stride
        if 0 <= candle < len(close) and collateral_then > 0.0 and owed > 0.0:
            ratio[hour] = collateral_then * close[candle] / owed / line
    assert out[0, :5].tolist() == counted(ratio)
    limit = float(np.exp(BUFFERS[DANGER]))
    assert tuple(out[0, 5:]) == _answers_of(ratio, limit, at, kind, second, 0, count)
    assert 0 < out[0, 3] <= out[0, 0] < MONTH - 1
