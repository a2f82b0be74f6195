"""Why a connection could not be read, each with the code that its status tells.

ForewarnError
└── ConnectFailed
    ├── WrongChain          an endpoint serves another chain
    ├── NotAContract        there is no code, or not the venue's, at an address
    ├── UnknownRevision     the venue runs code that no rulebook is held to
    ├── EndpointFailed      no answer, or a broken one
    │   ├── RateLimited     asked too often
    │   └── AnswerInvalid   an answer that the protocol does not allow
    ├── EndpointsDisagree   two endpoints say different things of one block
    ├── HistoryPruned       the state of a block is no longer there
    ├── BlockGone           a block is not, or no longer, part of the chain
    ├── RangeTooWide        more logs than an endpoint gives at once
    ├── Reverted            a contract refused a call
    ├── KeyRefused          an exchange does not take the key: wrong, revoked, not allowed from here
    ├── KeyTooStrong        the key can trade or withdraw, or nobody can say that it cannot
    ├── ClockSkew           our clock and the exchange's differ
    ├── UnknownInstrument   the exchange speaks of an instrument that it does not list
    └── ChangedMeanwhile    what was read in parts changed between them
"""

from datetime import timedelta

from models.errors import ForewarnError


class ConnectFailed(ForewarnError):  # noqa: N818 - named for what happened, as all below
    """A connection could not be read."""

    code = "connect_failed"


class WrongChain(ConnectFailed):
    """An endpoint serves another chain than the one named."""

    code = "wrong_chain"


class NotAContract(ConnectFailed):
    """There is no code at an address, or none that answers as the venue's does."""

    code = "not_a_contract"


class UnknownRevision(ConnectFailed):
    """The venue runs a revision that no rulebook is held to."""

    code = "unknown_revision"


class EndpointFailed(ConnectFailed):
    """An endpoint did not answer."""

    code = "endpoint_failed"


class RateLimited(EndpointFailed):
    """An endpoint asks to be left alone for a while.

    Parameters
    ----------
    wait
        How long; None where it does not say.
    """

    code = "rate_limited"

    def __init__(self, message: str, wait: timedelta | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class AnswerInvalid(EndpointFailed):
    """An endpoint answered what the protocol does not allow."""

    code = "answer_invalid"


class EndpointsDisagree(ConnectFailed):
    """Two endpoints say different things of one block, and no third decides."""

    code = "endpoints_disagree"


class HistoryPruned(ConnectFailed):
    """An endpoint no longer has the state of a block."""

    code = "history_pruned"


class BlockGone(ConnectFailed):
    """A block is not, or no longer, part of the chain."""

    code = "block_gone"


class RangeTooWide(ConnectFailed):
    """A range holds more logs, or more blocks, than an endpoint answers for at once."""

    code = "range_too_wide"


class Reverted(ConnectFailed):
    """A contract refused a call.

    Parameters
    ----------
    data
        What it said, encoded; empty where it said nothing, or ran out of gas.
    """

    code = "reverted"

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class KeyRefused(ConnectFailed):
    """An exchange does not take the key: it is wrong, revoked, or not allowed from here."""

    code = "key_refused"


class KeyTooStrong(ConnectFailed):
    """The key can do more than read, or the exchange does not say that it cannot."""

    code = "key_can_trade"


class ClockSkew(ConnectFailed):
    """Our clock and the exchange's differ by more than signatures and ages allow."""

    code = "clock_skew"


class UnknownInstrument(ConnectFailed):
    """The exchange speaks of an instrument that it does not list."""

    code = "unknown_instrument"


class ChangedMeanwhile(ConnectFailed):
    """What has to be read in several parts changed between them, each time it was tried."""

    code = "changed_meanwhile"
