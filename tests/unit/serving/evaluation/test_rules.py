"""What the rules cannot reckon is the input's fault; what their code gets wrong is not."""

from types import SimpleNamespace
from typing import Any

import pytest

from models.errors import InvalidInput
from serving.evaluation import rules

CASE: Any = SimpleNamespace(
    account=SimpleNamespace(venue="aave-v3", version="3.6"), place="/accounts/0"
)


def raising(error: Exception) -> Any:
    """Return a rule that fails."""

    def rule(_: object) -> None:
        raise error

    return rule


@pytest.mark.parametrize("error", [ZeroDivisionError("by 0"), OverflowError("beyond uint256")])
def test_amounts_that_the_venue_cannot_reckon_are_refused(error: Exception) -> None:
    """With the account and the rulebook named."""
    with pytest.raises(InvalidInput) as refused:
        rules.evaluated(CASE, raising(error))
    (fault,) = refused.value.faults
    assert fault.where == "/accounts/0"
    assert fault.message.startswith("aave-v3/3.6 cannot be evaluated with these amounts and terms")


@pytest.mark.parametrize("error", [KeyError("shift"), TypeError("None"), ValueError("empty")])
def test_a_fault_of_our_own_is_told_as_one(error: Exception) -> None:
    """It reaches the log and is answered as a failure of the service."""
    with pytest.raises(type(error)):
        rules.evaluated(CASE, raising(error))
