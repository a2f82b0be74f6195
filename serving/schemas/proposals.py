"""Proposals over HTTP: what is proposed, where it stands, and how it is governed."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Field

from serving.schemas.assessment import Notice
from serving.schemas.fields import Body, Exact, Name, Whole
from serving.schemas.term_changes import ChangeSet

Text = Annotated[str, Field(min_length=1, max_length=4_000, strict=True)]
Hours = Annotated[int, Field(ge=0, le=24 * 366, strict=True)]
Share = Annotated[Exact, Field(description="0 to 1")]


class ProposalBody(ChangeSet):
    """The body of `POST /v1/proposals`."""

    title: Annotated[str, Field(min_length=1, max_length=200, strict=True)]
    reason: Text
    draft: bool = Field(default=False, description="whether it is only proposed later")


class ApprovalBody(Body):
    """The body of an approval: what is approved, as the proposal states it."""

    binding: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ReasonBody(Body):
    """Why somebody rejects, cancels or rolls back."""

    reason: Text


class VoteBody(Body):
    """One vote; a later one of the same voter takes its place."""

    voter: Name
    choice: Literal["yes", "no", "abstain"]


class BallotBody(Body):
    """How votes are counted."""

    quorum: Share
    threshold: Share
    period_hours: Hours
    weights: Annotated[dict[Name, Whole], Field(min_length=1, max_length=100_000)]


class GovernanceBody(Body):
    """How proposals are governed."""

    approvals: Annotated[int, Field(ge=1, le=100, strict=True)] = 1
    delay_hours: Hours = 24
    window_hours: Annotated[int, Field(ge=1, le=24 * 366, strict=True)] = 6
    lifetime_hours: Annotated[int, Field(ge=1, le=24 * 366, strict=True)] = 24 * 14
    preview_hours: Annotated[int, Field(ge=1, le=24 * 366, strict=True)] = 24
    book_hours: Annotated[int, Field(ge=1, le=24 * 366, strict=True)] = Field(
        default=24, description="how long ago any account may have changed last for a preview"
    )
    tolerance_accounts: Annotated[int, Field(ge=0, le=10**9, strict=True)] = 0
    tolerance_debt: Exact = Field(default_factory=Fraction)
    ballot: BallotBody | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswer:
    """One approval."""

    actor: str
    at: datetime
    binding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationAnswer:
    """What the preview said that approvals bind to.

    Parameters
    ----------
    before
        What stood, change by change.
    reasons, reason_notices
        What spoke against it, and the same with its parts apart; those are empty of a preview that
        an earlier version kept.
    """

    preview_id: str
    as_of: datetime
    liquidatable_now: int
    liquidatable_after: int
    newly_count: int
    newly_debt: str
    newly: tuple[str, ...]
    before: tuple[dict[str, Any], ...]
    passes: bool
    reasons: tuple[str, ...]
    reason_notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountAnswer:
    """What votes say: weights."""

    yes: str
    no: str
    abstained: str
    total: str
    has_quorum: bool
    passes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalAnswer:
    """A proposal and where it stands.

    Parameters
    ----------
    version
        Stated in `If-Match`, an act on an older one is refused.
    allowed
        What the state allows.
    binding
        What an approval states: hash of the changes and the preview.
    not_before, expires_at
        From when it may be activated, and when it dies; null where neither is so.
    activation
        Once active: when, and each parameter's value before and after.
    """

    request_id: str
    id: str
    state: str
    version: int
    title: str
    reason: str
    proposer: str
    created_at: datetime
    moved_at: datetime
    allowed: tuple[str, ...]
    changes: tuple[dict[str, Any], ...]
    oracles: tuple[dict[str, Any], ...]
    limits: dict[str, Any]
    binding: str | None
    simulation: SimulationAnswer | None
    approvals: tuple[ApprovalAnswer, ...]
    approvals_needed: int
    votes: CountAnswer | None
    not_before: datetime | None
    expires_at: datetime | None
    rollback_of: str | None
    activation: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalsAnswer:
    """A page of proposals, the oldest first."""

    request_id: str
    proposals: tuple[ProposalAnswer, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernanceAnswer:
    """How proposals are governed; `since` is null for what ships."""

    request_id: str
    since: datetime | None
    policy: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One entry of the log as it was written."""

    number: int
    entry: dict[str, Any]
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAnswer:
    """A page of the log; `after` of the next page is the last number."""

    request_id: str
    entries: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAnswer:
    """The head of the log; signature and key are null where no key is named."""

    request_id: str
    size: int
    root: str
    time: datetime
    key: str | None
    signature: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofAnswer:
    """A proof of RFC 6962, hashes in hexadecimal.

    Parameters
    ----------
    leaf
        Hash of the entry; null for a proof of consistency.
    first, size
        Place of the entry or size of the smaller tree; size of the tree.
    """

    request_id: str
    leaf: str | None
    first: int
    size: int
    root: str
    proof: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAnswer:
    """What is to be found of the log as the store holds it, against the heads that were exported.

    Parameters
    ----------
    caution
        What cannot be told.
    """

    request_id: str
    entries: int
    root: str
    is_whole: bool
    first_bad: int | None
    reason: str | None
    heads: int
    covered: int
    caution: str | None
