"""Every operation of the API as a method.

Written by `python tests/builders/api_client.py` from the OpenAPI document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from forewarn_client.transport import AsyncTransport, Transport

if TYPE_CHECKING:
    from forewarn_client import types


class Operations(Transport):
    """Asks one operation after another."""

    def score(self, body: types.ScoreBody) -> types.Assessment:
        """Judge accounts by their venue's rules and forecast their liquidation."""
        answer: types.Assessment = self._json("POST", "/v1/score", body=body)
        return answer

    def score_many(self, body: types.ScoreBody) -> types.Batch:
        """Judge accounts by their venue's rules and forecast their liquidation."""
        answer: types.Batch = self._json("POST", "/v1/score", body=body)
        return answer

    def score_features(self, body: types.FeaturesBody) -> types.FeaturesAnswer:
        """Probabilities of ready features, by columns."""
        answer: types.FeaturesAnswer = self._json("POST", "/v1/score/features", body=body)
        return answer

    def margin(self, body: types.MarginBody) -> types.MarginAnswer:
        """Credit, requirement, surplus, the venue's ratio and its verdict, exact."""
        answer: types.MarginAnswer = self._json("POST", "/v1/margin", body=body)
        return answer

    def margin_many(self, body: types.MarginBody) -> types.MarginBatch:
        """Credit, requirement, surplus, the venue's ratio and its verdict, exact."""
        answer: types.MarginBatch = self._json("POST", "/v1/margin", body=body)
        return answer

    def trigger(self, body: types.TriggerBody) -> types.TriggersAnswer:
        """The prices, the common shock and the time at which the verdict flips."""
        answer: types.TriggersAnswer = self._json("POST", "/v1/trigger", body=body)
        return answer

    def trigger_many(self, body: types.TriggerBody) -> types.TriggerBatch:
        """The prices, the common shock and the time at which the verdict flips."""
        answer: types.TriggerBatch = self._json("POST", "/v1/trigger", body=body)
        return answer

    def liquidation(self, body: types.LiquidationBody) -> types.LiquidationAnswer:
        """What a liquidation would seize, or the venue's refusal."""
        answer: types.LiquidationAnswer = self._json("POST", "/v1/liquidation", body=body)
        return answer

    def liquidation_many(self, body: types.LiquidationBody) -> types.LiquidationBatch:
        """What a liquidation would seize, or the venue's refusal."""
        answer: types.LiquidationBatch = self._json("POST", "/v1/liquidation", body=body)
        return answer

    def what_if(self, body: types.WhatIfBody) -> types.WhatIfAnswer:
        """Judge accounts before and after price shocks, changed legs or changed terms."""
        answer: types.WhatIfAnswer = self._json("POST", "/v1/what-if", body=body)
        return answer

    def what_if_many(self, body: types.WhatIfBody) -> types.WhatIfBatch:
        """Judge accounts before and after price shocks, changed legs or changed terms."""
        answer: types.WhatIfBatch = self._json("POST", "/v1/what-if", body=body)
        return answer

    def plan(self, body: types.PlanBody) -> types.PlanAnswer:
        """The cheapest actions that reach a health and a probability."""
        answer: types.PlanAnswer = self._json("POST", "/v1/plan", body=body)
        return answer

    def plan_many(self, body: types.PlanBody) -> types.PlanBatch:
        """The cheapest actions that reach a health and a probability."""
        answer: types.PlanBatch = self._json("POST", "/v1/plan", body=body)
        return answer

    def allocate(self, body: types.AllocateBody) -> types.AllocationAnswer:
        """Which collateral to post where, at least cost or least expected loss."""
        answer: types.AllocationAnswer = self._json("POST", "/v1/allocate", body=body)
        return answer

    def begin_allocation(self, body: types.LongAllocateBody) -> types.AllocationStatus:
        """Begin an allocation that takes long: whole numbers of any size."""
        answer: types.AllocationStatus = self._json(
            "POST", "/v1/allocations", body=body, writes=True
        )
        return answer

    def allocation_status(self, id: str) -> types.AllocationStatus:
        """An allocation that takes long, and what came of it."""
        answer: types.AllocationStatus = self._json("GET", "/v1/allocations/{id}", at={"id": id})
        return answer

    def upsert_accounts(self, body: types.AccountsBody) -> types.Upserted:
        """Write accounts and what they hold, all or none."""
        answer: types.Upserted = self._json("PUT", "/v1/accounts", body=body, writes=True)
        return answer

    def accounts(
        self,
        *,
        venue: str | None = None,
        market: str | None = None,
        owner: str | None = None,
        asset: str | None = None,
        verdict: str | None = None,
        most_ratio: float | None = None,
        least_expected_24h: float | None = None,
        least_requirement: float | None = None,
        least_level: Literal["watch", "warning", "critical", "liquidated"] | None = None,
        least_distance: float | None = None,
        most_distance: float | None = None,
        least_value: float | None = None,
        most_value: float | None = None,
        search: str | None = None,
        order: Literal[
            "account",
            "ratio",
            "expected_24h",
            "rank",
            "distance",
            "collateral_value",
            "requirement",
        ]
        | None = None,
        as_of: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> types.AccountsPage:
        """Search accounts by venue, asset, health and probability."""
        answer: types.AccountsPage = self._json(
            "GET",
            "/v1/accounts",
            query={
                "venue": venue,
                "market": market,
                "owner": owner,
                "asset": asset,
                "verdict": verdict,
                "most_ratio": most_ratio,
                "least_expected_24h": least_expected_24h,
                "least_requirement": least_requirement,
                "least_level": least_level,
                "least_distance": least_distance,
                "most_distance": most_distance,
                "least_value": least_value,
                "most_value": most_value,
                "search": search,
                "order": order,
                "as_of": as_of,
                "cursor": cursor,
                "limit": limit,
            },
        )
        return answer

    def account(self, account: str) -> types.AccountAnswer:
        """An account of the store."""
        answer: types.AccountAnswer = self._json(
            "GET", "/v1/accounts/{account}", at={"account": account}
        )
        return answer

    def assessments(
        self, account: str, *, cursor: str | None = None, limit: int | None = None
    ) -> types.History:
        """What was said of an account before."""
        answer: types.History = self._json(
            "GET",
            "/v1/accounts/{account}/assessments",
            at={"account": account},
            query={"cursor": cursor, "limit": limit},
        )
        return answer

    def assess(self, body: types.AssessBody) -> types.Batch:
        """Assess accounts of the store and keep what was said."""
        answer: types.Batch = self._json("POST", "/v1/assessments", body=body, writes=True)
        return answer

    def export_accounts(
        self,
        *,
        venue: str | None = None,
        market: str | None = None,
        owner: str | None = None,
        asset: str | None = None,
        verdict: str | None = None,
        most_ratio: float | None = None,
        least_expected_24h: float | None = None,
        least_requirement: float | None = None,
        least_level: Literal["watch", "warning", "critical", "liquidated"] | None = None,
        least_distance: float | None = None,
        most_distance: float | None = None,
        least_value: float | None = None,
        most_value: float | None = None,
        search: str | None = None,
        format: Literal["csv", "parquet", "arrow"] | None = None,
    ) -> bytes:
        """Every account with its newest assessment, as a file."""
        answer: bytes = self._bytes(
            "GET",
            "/v1/export/accounts",
            query={
                "venue": venue,
                "market": market,
                "owner": owner,
                "asset": asset,
                "verdict": verdict,
                "most_ratio": most_ratio,
                "least_expected_24h": least_expected_24h,
                "least_requirement": least_requirement,
                "least_level": least_level,
                "least_distance": least_distance,
                "most_distance": most_distance,
                "least_value": least_value,
                "most_value": most_value,
                "search": search,
                "format": format,
            },
        )
        return answer

    def alerts(
        self,
        *,
        account: str | None = None,
        begin: str | None = None,
        end: str | None = None,
        least_level: Literal["watch", "warning", "critical", "liquidated"] | None = None,
        kind: Literal["raised", "repeated", "lowered"] | None = None,
        route: Literal["now", "digest", "silent"] | None = None,
        order: Literal["oldest", "newest"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> types.AlertsAnswer:
        """What changed, when, to whom it was told, and whether that arrived."""
        answer: types.AlertsAnswer = self._json(
            "GET",
            "/v1/alerts",
            query={
                "account": account,
                "begin": begin,
                "end": end,
                "least_level": least_level,
                "kind": kind,
                "route": route,
                "order": order,
                "cursor": cursor,
                "limit": limit,
            },
        )
        return answer

    def raised_accounts(
        self,
        *,
        least_level: Literal["watch", "warning", "critical", "liquidated"] | None = None,
        account: str | None = None,
        order: Literal["name", "urgency"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> types.RaisedAnswer:
        """Which accounts are on a level now, acknowledged or not."""
        answer: types.RaisedAnswer = self._json(
            "GET",
            "/v1/alerts/raised",
            query={
                "least_level": least_level,
                "account": account,
                "order": order,
                "cursor": cursor,
                "limit": limit,
            },
        )
        return answer

    def acknowledge_alert(self, account: str) -> types.WishAnswer:
        """Acknowledge the level an account is on."""
        answer: types.WishAnswer = self._json(
            "POST", "/v1/accounts/{account}/acknowledge", at={"account": account}, writes=True
        )
        return answer

    def mute_alerts(self, account: str, body: types.MuteBody) -> types.WishAnswer:
        """Mute an account below critical."""
        answer: types.WishAnswer = self._json(
            "POST", "/v1/accounts/{account}/mute", at={"account": account}, body=body, writes=True
        )
        return answer

    def deliveries(
        self,
        *,
        receiver: str | None = None,
        account: str | None = None,
        status: Literal["waiting", "sent", "dead", "stopped"] | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> types.DeliveriesAnswer:
        """What became of every message; `status=dead` lists the dead letters."""
        answer: types.DeliveriesAnswer = self._json(
            "GET",
            "/v1/deliveries",
            query={
                "receiver": receiver,
                "account": account,
                "status": status,
                "before": before,
                "limit": limit,
            },
        )
        return answer

    def replay_deliveries(self, body: types.ReplayBody) -> types.ReplayAnswer:
        """Put dead letters back into the outbox, with their keys."""
        answer: types.ReplayAnswer = self._json(
            "POST", "/v1/deliveries/replay", body=body, writes=True
        )
        return answer

    def policy(self) -> types.PolicyAnswer:
        """The alert policy in force."""
        answer: types.PolicyAnswer = self._json("GET", "/v1/policy")
        return answer

    def preview_policy(self, body: types.PreviewBody) -> types.PreviewAnswer:
        """What a changed policy would have sent over a past period."""
        answer: types.PreviewAnswer = self._json("POST", "/v1/policy/preview", body=body)
        return answer

    def receivers(
        self, *, cursor: str | None = None, limit: int | None = None
    ) -> types.ReceiversAnswer:
        """Who is told of alerts."""
        answer: types.ReceiversAnswer = self._json(
            "GET", "/v1/receivers", query={"cursor": cursor, "limit": limit}
        )
        return answer

    def receiver(self, receiver: str) -> types.ReceiverAnswer:
        """One receiver: its channels, what it covers, what it agreed to."""
        answer: types.ReceiverAnswer = self._json(
            "GET", "/v1/receivers/{receiver}", at={"receiver": receiver}
        )
        return answer

    def put_receiver(self, receiver: str, body: types.ReceiverBody) -> types.WroteAnswer:
        """Add a receiver, or change one."""
        answer: types.WroteAnswer = self._json(
            "PUT", "/v1/receivers/{receiver}", at={"receiver": receiver}, body=body, writes=True
        )
        return answer

    def add_channel(self, receiver: str, body: types.ChannelBody) -> types.CodeAnswer:
        """Add a channel and send its one-time code there."""
        answer: types.CodeAnswer = self._json(
            "POST", "/v1/receivers/{receiver}/channels", at={"receiver": receiver}, body=body
        )
        return answer

    def resend_code(self, channel: str) -> types.CodeAnswer:
        """Send a channel a fresh one-time code."""
        answer: types.CodeAnswer = self._json(
            "POST", "/v1/channels/{channel}/resend", at={"channel": channel}
        )
        return answer

    def rotate_secret(self, channel: str) -> types.SecretAnswer:
        """Give a webhook a new signing secret; the one before signs along."""
        answer: types.SecretAnswer = self._json(
            "POST", "/v1/channels/{channel}/rotate", at={"channel": channel}
        )
        return answer

    def confirm_channel(self, channel: str, body: types.ConfirmBody) -> types.DoneAnswer:
        """Confirm a channel by the code that was sent there."""
        answer: types.DoneAnswer = self._json(
            "POST", "/v1/channels/{channel}/confirm", at={"channel": channel}, body=body
        )
        return answer

    def stop_channel(self, channel: str) -> types.DoneAnswer:
        """Stop a channel for good."""
        answer: types.DoneAnswer = self._json(
            "POST", "/v1/channels/{channel}/stop", at={"channel": channel}
        )
        return answer

    def connections(self) -> types.ConnectionsAnswer:
        """What is followed on chains and exchanges, and how it stands."""
        answer: types.ConnectionsAnswer = self._json("GET", "/v1/connections")
        return answer

    def connection(self, connection: str) -> types.ConnectionAnswer:
        """One connection: endpoints, accounts' figures, and what its venue judges otherwise."""
        answer: types.ConnectionAnswer = self._json(
            "GET", "/v1/connections/{connection}", at={"connection": connection}
        )
        return answer

    def put_connection(
        self, connection: str, body: types.ConnectionRequest
    ) -> types.ConnectionWritten:
        """Follow accounts of a venue on a chain or of an exchange, or change what is followed."""
        answer: types.ConnectionWritten = self._json(
            "PUT",
            "/v1/connections/{connection}",
            at={"connection": connection},
            body=body,
            writes=True,
        )
        return answer

    def delete_connection(self, connection: str) -> types.ConnectionWritten:
        """End a connection; what it wrote of accounts stays."""
        answer: types.ConnectionWritten = self._json(
            "DELETE", "/v1/connections/{connection}", at={"connection": connection}, writes=True
        )
        return answer

    def push_prices(self, body: types.PricesBody) -> types.Pushed:
        """Push prices of assets."""
        answer: types.Pushed = self._json("POST", "/v1/prices", body=body, writes=True)
        return answer

    def prices(self, *, as_of: str | None = None) -> types.PricesInForce:
        """The prices in force, with their ages."""
        answer: types.PricesInForce = self._json("GET", "/v1/prices", query={"as_of": as_of})
        return answer

    def push_candles(self, body: types.CandlesPush) -> types.Pushed:
        """Push closed hourly candles."""
        answer: types.Pushed = self._json("POST", "/v1/candles", body=body, writes=True)
        return answer

    def candles(
        self, *, asset: str | None = None, begin: str | None = None, end: str | None = None
    ) -> types.CandlesShown:
        """Hourly candles of an asset, to be drawn."""
        answer: types.CandlesShown = self._json(
            "GET", "/v1/candles", query={"asset": asset, "begin": begin, "end": end}
        )
        return answer

    def push_state(self, body: types.StateBody) -> types.Pushed:
        """Push the state of markets."""
        answer: types.Pushed = self._json("POST", "/v1/state", body=body, writes=True)
        return answer

    def push_terms(self, body: types.TermsBody) -> types.Pushed:
        """Push the risk parameters of a market."""
        answer: types.Pushed = self._json("POST", "/v1/terms", body=body, writes=True)
        return answer

    def push_events(self, body: types.EventsBody) -> types.Pushed:
        """Push what happened to accounts."""
        answer: types.Pushed = self._json("POST", "/v1/events", body=body, writes=True)
        return answer

    def book(
        self,
        *,
        venue: str | None = None,
        market: str | None = None,
        owner: str | None = None,
        asset: str | None = None,
    ) -> types.BookAnswer:
        """Collateral at risk by price shock, accounts by risk band, expected liquidations."""
        answer: types.BookAnswer = self._json(
            "GET",
            "/v1/book",
            query={"venue": venue, "market": market, "owner": owner, "asset": asset},
        )
        return answer

    def book_map(
        self,
        *,
        venue: str | None = None,
        market: str | None = None,
        owner: str | None = None,
        asset: str | None = None,
        as_of: str | None = None,
    ) -> types.BookMap:
        """Where accounts stand by value and distance to the line, in columns."""
        answer: types.BookMap = self._json(
            "GET",
            "/v1/book/map",
            query={
                "venue": venue,
                "market": market,
                "owner": owner,
                "asset": asset,
                "as_of": as_of,
            },
        )
        return answer

    def book_course(
        self,
        *,
        venue: str | None = None,
        horizon: str | None = None,
        begin: str | None = None,
        end: str | None = None,
    ) -> types.BookCourse:
        """Liquidations expected over time, and how many came."""
        answer: types.BookCourse = self._json(
            "GET",
            "/v1/book/course",
            query={"venue": venue, "horizon": horizon, "begin": begin, "end": end},
        )
        return answer

    def stress_book(self, body: types.StressBody) -> types.StressAnswer:
        """What price moves would liquidate, round by round."""
        answer: types.StressAnswer = self._json("POST", "/v1/book/stress", body=body)
        return answer

    def begin_book_forecast(self, body: types.ForecastBody) -> types.ForecastStatus:
        """Forecast what will be liquidated within a day and a week."""
        answer: types.ForecastStatus = self._json(
            "POST", "/v1/book/forecasts", body=body, writes=True
        )
        return answer

    def book_forecast(self, id: str) -> types.ForecastStatus:
        """A forecast of the book: how far it is, or what came of it."""
        answer: types.ForecastStatus = self._json("GET", "/v1/book/forecasts/{id}", at={"id": id})
        return answer

    def stop_book_forecast(self, id: str) -> types.ForecastStatus:
        """Stop a forecast of the book."""
        answer: types.ForecastStatus = self._json(
            "DELETE", "/v1/book/forecasts/{id}", at={"id": id}, writes=True
        )
        return answer

    def book_risk(self) -> types.RiskAnswer:
        """The newest forecast of the book."""
        answer: types.RiskAnswer = self._json("GET", "/v1/book/risk")
        return answer

    def book_risk_history(self, *, limit: int | None = None) -> types.HistoryAnswer:
        """Past forecasts of the book beside what came true."""
        answer: types.HistoryAnswer = self._json(
            "GET", "/v1/book/risk/history", query={"limit": limit}
        )
        return answer

    def put_impact(self, asset: str, quote: str, body: types.ImpactBody) -> types.CurveAnswer:
        """State what selling an asset does to its price."""
        answer: types.CurveAnswer = self._json(
            "PUT",
            "/v1/impact/{asset}/{quote}",
            at={"asset": asset, "quote": quote},
            body=body,
            writes=True,
        )
        return answer

    def get_impact(self, asset: str, quote: str) -> types.CurveAnswer:
        """The fitted curve of impact of an asset."""
        answer: types.CurveAnswer = self._json(
            "GET", "/v1/impact/{asset}/{quote}", at={"asset": asset, "quote": quote}
        )
        return answer

    def put_block_space(self, chain: str, body: types.BlockSpaceBody) -> types.BlockSpaceAnswer:
        """State gas price and block space of a chain."""
        answer: types.BlockSpaceAnswer = self._json(
            "PUT", "/v1/block-space/{chain}", at={"chain": chain}, body=body, writes=True
        )
        return answer

    def block_spaces(self) -> types.BlockSpacesAnswer:
        """The blocks of every chain, and what liquidations cost and take in them."""
        answer: types.BlockSpacesAnswer = self._json("GET", "/v1/block-space")
        return answer

    def lines(self, body: types.LinesBody) -> types.LinesShown:
        """The past probabilities of many accounts, to be drawn."""
        answer: types.LinesShown = self._json("POST", "/v1/lines", body=body)
        return answer

    def pulse(self) -> types.Pulse:
        """Whether anything is new: cheap to ask, with an entity tag."""
        answer: types.Pulse = self._json("GET", "/v1/pulse")
        return answer

    def preview_terms(self, body: types.TermsPreviewBody) -> types.TermsPreviewAnswer:
        """Who a change of risk parameters would make liquidatable, and whether it may be."""
        answer: types.TermsPreviewAnswer = self._json("POST", "/v1/terms/preview", body=body)
        return answer

    def recommend_terms(self, body: types.RecommendBody) -> types.RecommendationStatus:
        """Begin to look which change within one step lowers the expected losses."""
        answer: types.RecommendationStatus = self._json(
            "POST", "/v1/terms/recommend", body=body, writes=True
        )
        return answer

    def recommendation(self, id: str) -> types.RecommendationStatus:
        """A recommendation: how far it is, what came of it, and whether it still stands."""
        answer: types.RecommendationStatus = self._json(
            "GET", "/v1/terms/recommendations/{id}", at={"id": id}
        )
        return answer

    def recommendations(self, *, limit: int | None = None) -> types.RecommendationsAnswer:
        """The newest recommendations."""
        answer: types.RecommendationsAnswer = self._json(
            "GET", "/v1/terms/recommendations", query={"limit": limit}
        )
        return answer

    def parameters(self) -> types.ParametersAnswer:
        """Every parameter that may be changed, as it stands."""
        answer: types.ParametersAnswer = self._json("GET", "/v1/terms/parameters")
        return answer

    def bounds(self) -> types.BoundsAnswer:
        """How far each parameter may move at once, and how long between two moves."""
        answer: types.BoundsAnswer = self._json("GET", "/v1/terms/bounds")
        return answer

    def put_bounds(self, body: types.BoundsBody) -> types.BoundsAnswer:
        """Put other bounds in force."""
        answer: types.BoundsAnswer = self._json("PUT", "/v1/terms/bounds", body=body, writes=True)
        return answer

    def proposals(
        self,
        *,
        state: Literal[
            "draft",
            "proposed",
            "simulated",
            "approved",
            "scheduled",
            "active",
            "rolled_back",
            "superseded",
            "rejected",
            "cancelled",
            "expired",
        ]
        | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> types.ProposalsAnswer:
        """Proposals to change risk parameters, the oldest first."""
        answer: types.ProposalsAnswer = self._json(
            "GET", "/v1/proposals", query={"state": state, "after": after, "limit": limit}
        )
        return answer

    def create_proposal(self, body: types.ProposalBody) -> types.ProposalAnswer:
        """Propose a change of risk parameters."""
        answer: types.ProposalAnswer = self._json("POST", "/v1/proposals", body=body, writes=True)
        return answer

    def proposal(self, id: str) -> types.ProposalAnswer:
        """One proposal and where it stands."""
        answer: types.ProposalAnswer = self._json("GET", "/v1/proposals/{id}", at={"id": id})
        return answer

    def propose_proposal(self, id: str, body: types.ReasonBody) -> types.ProposalAnswer:
        """Propose a draft."""
        answer: types.ProposalAnswer = self._json(
            "POST", "/v1/proposals/{id}/propose", at={"id": id}, body=body, writes=True
        )
        return answer

    def simulate_proposal(self, id: str) -> types.ProposalAnswer:
        """Preview it on the book of this moment."""
        answer: types.ProposalAnswer = self._json(
            "POST", "/v1/proposals/{id}/simulate", at={"id": id}, writes=True
        )
        return answer

    def approve_proposal(self, id: str, body: types.ApprovalBody) -> types.ProposalAnswer:
        """Approve what its preview says."""
        answer: types.ProposalAnswer = self._json(
            "POST", "/v1/proposals/{id}/approve", at={"id": id}, body=body, writes=True
        )
        return answer

    def reject_proposal(self, id: str, body: types.ReasonBody) -> types.ProposalAnswer:
        """Reject it."""
        answer: types.ProposalAnswer = self._json(
            "POST", "/v1/proposals/{id}/reject", at={"id": id}, body=body, writes=True
        )
        return answer

    def votes_proposal(self, id: str, body: types.VoteBody) -> types.ProposalAnswer:
        """Take a vote on it."""
        answer: types.ProposalAnswer = self._json(
            "POST", "/v1/proposals/{id}/votes", at={"id": id}, body=body, writes=True
        )
        return answer

    def schedule_proposal(self, id: str) -> types.ProposalAnswer:
        """Schedule it once it is approved."""
        answer: types.ProposalAnswer = self._json(
            "POST", "/v1/proposals/{id}/schedule", at={"id": id}, writes=True
        )
        return answer

    def activate_proposal(self, id: str) -> types.ProposalAnswer:
        """Put its terms in force, once."""
        answer: types.ProposalAnswer = self._json(
            "POST", "/v1/proposals/{id}/activate", at={"id": id}, writes=True
        )
        return answer

    def cancel_proposal(self, id: str, body: types.ReasonBody) -> types.ProposalAnswer:
        """Cancel it."""
        answer: types.ProposalAnswer = self._json(
            "POST", "/v1/proposals/{id}/cancel", at={"id": id}, body=body, writes=True
        )
        return answer

    def rollback_proposal(self, id: str, body: types.ReasonBody) -> types.ProposalAnswer:
        """Propose what stood before it."""
        answer: types.ProposalAnswer = self._json(
            "POST", "/v1/proposals/{id}/rollback", at={"id": id}, body=body, writes=True
        )
        return answer

    def governance_policy(self) -> types.GovernanceAnswer:
        """How proposals are governed."""
        answer: types.GovernanceAnswer = self._json("GET", "/v1/governance/policy")
        return answer

    def put_governance_policy(self, body: types.GovernanceBody) -> types.GovernanceAnswer:
        """Govern proposals otherwise."""
        answer: types.GovernanceAnswer = self._json(
            "PUT", "/v1/governance/policy", body=body, writes=True
        )
        return answer

    def log(
        self, *, after: int | None = None, limit: int | None = None, subject: str | None = None
    ) -> types.LogAnswer:
        """The log of everything that was governed, the oldest first."""
        answer: types.LogAnswer = self._json(
            "GET", "/v1/log", query={"after": after, "limit": limit, "subject": subject}
        )
        return answer

    def log_export(self) -> bytes:
        """The whole log, one entry a line, as `forewarn log verify` reads it."""
        answer: bytes = self._bytes("GET", "/v1/log/export")
        return answer

    def log_head(self) -> types.HeadAnswer:
        """How long the log is and its root, signed where a key is named."""
        answer: types.HeadAnswer = self._json("GET", "/v1/log/head")
        return answer

    def log_proof(self, number: str, *, size: int | None = None) -> types.ProofAnswer:
        """The proof that an entry is in the log (RFC 6962)."""
        answer: types.ProofAnswer = self._json(
            "GET", "/v1/log/proof/{number}", at={"number": number}, query={"size": size}
        )
        return answer

    def log_consistency(
        self, *, from_: int | None = None, to: int | None = None
    ) -> types.ProofAnswer:
        """The proof that an earlier log is the beginning of a later one (RFC 6962)."""
        answer: types.ProofAnswer = self._json(
            "GET", "/v1/log/consistency", query={"from": from_, "to": to}
        )
        return answer

    def log_verify(self) -> types.CheckAnswer:
        """Whether the log is as it was, against itself and the heads that were exported."""
        answer: types.CheckAnswer = self._json("GET", "/v1/log/verify")
        return answer

    def breakers(self) -> types.BreakersAnswer:
        """Every breaker, how it stands, and the effects in force."""
        answer: types.BreakersAnswer = self._json("GET", "/v1/breakers")
        return answer

    def put_breaker(self, name: str, body: types.BreakerBody) -> types.BreakerAnswer:
        """Put a breaker in force, or tell when it would have been open."""
        answer: types.BreakerAnswer = self._json(
            "PUT", "/v1/breakers/{name}", at={"name": name}, body=body, writes=True
        )
        return answer

    def trip_breaker(self, name: str, body: types.HandBody) -> types.BreakerAnswer:
        """Open a breaker by hand: only a hand closes it again."""
        answer: types.BreakerAnswer = self._json(
            "POST", "/v1/breakers/{name}/trip", at={"name": name}, body=body, writes=True
        )
        return answer

    def reset_breaker(self, name: str, body: types.HandBody) -> types.BreakerAnswer:
        """Close a breaker by hand."""
        answer: types.BreakerAnswer = self._json(
            "POST", "/v1/breakers/{name}/reset", at={"name": name}, body=body, writes=True
        )
        return answer

    def rulebooks(self) -> types.RulebooksAnswer:
        """Every rulebook with the terms, state and options it reads."""
        answer: types.RulebooksAnswer = self._json("GET", "/v1/rulebooks")
        return answer

    def terms(
        self,
        venue: str,
        version: str,
        market: str,
        *,
        as_of: str | None = None,
        chain: str | None = None,
    ) -> types.TermsAnswer:
        """The terms of a market in force."""
        answer: types.TermsAnswer = self._json(
            "GET",
            "/v1/rulebooks/{venue}/{version}/terms/{market}",
            at={"venue": venue, "version": version, "market": market},
            query={"as_of": as_of, "chain": chain},
        )
        return answer

    def models(self) -> types.ModelsAnswer:
        """The model in use and what it reads."""
        answer: types.ModelsAnswer = self._json("GET", "/v1/models")
        return answer

    def model_moves(self) -> types.MovesAnswer:
        """Promotions and rollbacks: what answered when, by whose word."""
        answer: types.MovesAnswer = self._json("GET", "/v1/models/moves")
        return answer

    def model_drift(self) -> types.DriftAnswer:
        """Whether the model in use is still asked about what it was trained for."""
        answer: types.DriftAnswer = self._json("GET", "/v1/models/drift")
        return answer

    def models_beside(self) -> types.BesideAnswer:
        """What the challenger says beside the champion."""
        answer: types.BesideAnswer = self._json("GET", "/v1/models/beside")
        return answer

    def model_card(self, version: str) -> bytes:
        """A model's card."""
        answer: bytes = self._bytes("GET", "/v1/models/{version}/card", at={"version": version})
        return answer

    def model_report(self, version: str) -> bytes:
        """A model's evaluation report."""
        answer: bytes = self._bytes("GET", "/v1/models/{version}/report", at={"version": version})
        return answer

    def owner_conduct(self, owner: str, *, as_of: str | None = None) -> types.ConductAnswer:
        """How an owner behaved when a line came near, as a score with reasons."""
        answer: types.ConductAnswer = self._json(
            "GET", "/v1/owners/{owner}/conduct", at={"owner": owner}, query={"as_of": as_of}
        )
        return answer

    def owner_conduct_history(
        self, owner: str, *, points: int | None = None
    ) -> types.ConductHistory:
        """An owner's score over time, each from what was known then."""
        answer: types.ConductHistory = self._json(
            "GET",
            "/v1/owners/{owner}/conduct/history",
            at={"owner": owner},
            query={"points": points},
        )
        return answer

    def conduct_consent(self, owner: str, body: types.ConsentBody) -> types.ConsentAnswer:
        """Say whether an owner may be scored."""
        answer: types.ConsentAnswer = self._json(
            "PUT", "/v1/owners/{owner}/conduct/consent", at={"owner": owner}, body=body, writes=True
        )
        return answer

    def personal_requirements(self, body: types.PersonalBody) -> types.PersonalBatch:
        """What accounts are required beyond their venue, by their own record."""
        answer: types.PersonalBatch = self._json("POST", "/v1/requirements/personal", body=body)
        return answer

    def put_mandate(self, id: str, body: types.MandateBody) -> types.MandateAnswer:
        """Let a keeper act for an owner, within limits."""
        answer: types.MandateAnswer = self._json(
            "PUT", "/v1/mandates/{id}", at={"id": id}, body=body, writes=True
        )
        return answer

    def end_mandate(self, id: str) -> types.MandateAnswer:
        """End a mandate: nothing more is made or accepted by it."""
        answer: types.MandateAnswer = self._json(
            "DELETE", "/v1/mandates/{id}", at={"id": id}, writes=True
        )
        return answer

    def mandate(self, id: str) -> types.MandateAnswer:
        """A mandate, and how much of its budget is spent."""
        answer: types.MandateAnswer = self._json("GET", "/v1/mandates/{id}", at={"id": id})
        return answer

    def mandates(
        self, *, owner: str | None = None, after: str | None = None, limit: int | None = None
    ) -> types.MandatesAnswer:
        """Mandates by their ids."""
        answer: types.MandatesAnswer = self._json(
            "GET", "/v1/mandates", query={"owner": owner, "after": after, "limit": limit}
        )
        return answer

    def orders(
        self,
        *,
        state: Literal["ready", "accepted", "done", "judged", "failed", "withdrawn", "refused"]
        | None = None,
        account: str | None = None,
        mandate: str | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> types.OrdersAnswer:
        """Orders, the newest first."""
        answer: types.OrdersAnswer = self._json(
            "GET",
            "/v1/orders",
            query={
                "state": state,
                "account": account,
                "mandate": mandate,
                "before": before,
                "limit": limit,
            },
        )
        return answer

    def ask_order(self, body: types.AskBody) -> types.OrderAnswer:
        """Make an order now, of an account's plan or of an allocation."""
        answer: types.OrderAnswer = self._json("POST", "/v1/orders", body=body, writes=True)
        return answer

    def order(self, id: str) -> types.OrderAnswer:
        """One order: what to do, who vouches for it, what became of it."""
        answer: types.OrderAnswer = self._json("GET", "/v1/orders/{id}", at={"id": id})
        return answer

    def accept_order(self, id: str, body: types.AcceptBody) -> types.OrderAnswer:
        """Say that you act on an order: nobody else may from then on."""
        answer: types.OrderAnswer = self._json(
            "POST", "/v1/orders/{id}/accept", at={"id": id}, body=body, writes=True
        )
        return answer

    def order_done(self, id: str, body: types.DoneBody) -> types.OrderAnswer:
        """Report that an order was carried out."""
        answer: types.OrderAnswer = self._json(
            "POST", "/v1/orders/{id}/done", at={"id": id}, body=body, writes=True
        )
        return answer

    def order_failed(self, id: str, body: types.FailedBody) -> types.OrderAnswer:
        """Report that an order could not be carried out."""
        answer: types.OrderAnswer = self._json(
            "POST", "/v1/orders/{id}/failed", at={"id": id}, body=body, writes=True
        )
        return answer

    def withdraw_order(self, id: str, body: types.WithdrawBody) -> types.OrderAnswer:
        """Withdraw an order that nobody has accepted."""
        answer: types.OrderAnswer = self._json(
            "POST", "/v1/orders/{id}/withdraw", at={"id": id}, body=body, writes=True
        )
        return answer

    def audit(self, *, after: int | None = None, limit: int | None = None) -> types.AuditAnswer:
        """Every write: who, what, when."""
        answer: types.AuditAnswer = self._json(
            "GET", "/v1/audit", query={"after": after, "limit": limit}
        )
        return answer

    def livez(self) -> types.Alive:
        """Whether the process answers."""
        answer: types.Alive = self._json("GET", "/livez")
        return answer

    def readyz(self) -> types.Ready:
        """Whether requests can be answered, and how soundly."""
        answer: types.Ready = self._json("GET", "/readyz")
        return answer

    def metrics(self) -> bytes:
        """Prometheus metrics of every worker."""
        answer: bytes = self._bytes("GET", "/metrics")
        return answer

    def openapi(self) -> bytes:
        """This document."""
        answer: bytes = self._bytes("GET", "/openapi.json")
        return answer


class AsyncOperations(AsyncTransport):
    """Asks without blocking."""

    async def score(self, body: types.ScoreBody) -> types.Assessment:
        """Judge accounts by their venue's rules and forecast their liquidation."""
        answer: types.Assessment = await self._json("POST", "/v1/score", body=body)
        return answer

    async def score_many(self, body: types.ScoreBody) -> types.Batch:
        """Judge accounts by their venue's rules and forecast their liquidation."""
        answer: types.Batch = await self._json("POST", "/v1/score", body=body)
        return answer

    async def score_features(self, body: types.FeaturesBody) -> types.FeaturesAnswer:
        """Probabilities of ready features, by columns."""
        answer: types.FeaturesAnswer = await self._json("POST", "/v1/score/features", body=body)
        return answer

    async def margin(self, body: types.MarginBody) -> types.MarginAnswer:
        """Credit, requirement, surplus, the venue's ratio and its verdict, exact."""
        answer: types.MarginAnswer = await self._json("POST", "/v1/margin", body=body)
        return answer

    async def margin_many(self, body: types.MarginBody) -> types.MarginBatch:
        """Credit, requirement, surplus, the venue's ratio and its verdict, exact."""
        answer: types.MarginBatch = await self._json("POST", "/v1/margin", body=body)
        return answer

    async def trigger(self, body: types.TriggerBody) -> types.TriggersAnswer:
        """The prices, the common shock and the time at which the verdict flips."""
        answer: types.TriggersAnswer = await self._json("POST", "/v1/trigger", body=body)
        return answer

    async def trigger_many(self, body: types.TriggerBody) -> types.TriggerBatch:
        """The prices, the common shock and the time at which the verdict flips."""
        answer: types.TriggerBatch = await self._json("POST", "/v1/trigger", body=body)
        return answer

    async def liquidation(self, body: types.LiquidationBody) -> types.LiquidationAnswer:
        """What a liquidation would seize, or the venue's refusal."""
        answer: types.LiquidationAnswer = await self._json("POST", "/v1/liquidation", body=body)
        return answer

    async def liquidation_many(self, body: types.LiquidationBody) -> types.LiquidationBatch:
        """What a liquidation would seize, or the venue's refusal."""
        answer: types.LiquidationBatch = await self._json("POST", "/v1/liquidation", body=body)
        return answer

    async def what_if(self, body: types.WhatIfBody) -> types.WhatIfAnswer:
        """Judge accounts before and after price shocks, changed legs or changed terms."""
        answer: types.WhatIfAnswer = await self._json("POST", "/v1/what-if", body=body)
        return answer

    async def what_if_many(self, body: types.WhatIfBody) -> types.WhatIfBatch:
        """Judge accounts before and after price shocks, changed legs or changed terms."""
        answer: types.WhatIfBatch = await self._json("POST", "/v1/what-if", body=body)
        return answer

    async def plan(self, body: types.PlanBody) -> types.PlanAnswer:
        """The cheapest actions that reach a health and a probability."""
        answer: types.PlanAnswer = await self._json("POST", "/v1/plan", body=body)
        return answer

    async def plan_many(self, body: types.PlanBody) -> types.PlanBatch:
        """The cheapest actions that reach a health and a probability."""
        answer: types.PlanBatch = await self._json("POST", "/v1/plan", body=body)
        return answer

    async def allocate(self, body: types.AllocateBody) -> types.AllocationAnswer:
        """Which collateral to post where, at least cost or least expected loss."""
        answer: types.AllocationAnswer = await self._json("POST", "/v1/allocate", body=body)
        return answer

    async def begin_allocation(self, body: types.LongAllocateBody) -> types.AllocationStatus:
        """Begin an allocation that takes long: whole numbers of any size."""
        answer: types.AllocationStatus = await self._json(
            "POST", "/v1/allocations", body=body, writes=True
        )
        return answer

    async def allocation_status(self, id: str) -> types.AllocationStatus:
        """An allocation that takes long, and what came of it."""
        answer: types.AllocationStatus = await self._json(
            "GET", "/v1/allocations/{id}", at={"id": id}
        )
        return answer

    async def upsert_accounts(self, body: types.AccountsBody) -> types.Upserted:
        """Write accounts and what they hold, all or none."""
        answer: types.Upserted = await self._json("PUT", "/v1/accounts", body=body, writes=True)
        return answer

    async def accounts(
        self,
        *,
        venue: str | None = None,
        market: str | None = None,
        owner: str | None = None,
        asset: str | None = None,
        verdict: str | None = None,
        most_ratio: float | None = None,
        least_expected_24h: float | None = None,
        least_requirement: float | None = None,
        least_level: Literal["watch", "warning", "critical", "liquidated"] | None = None,
        least_distance: float | None = None,
        most_distance: float | None = None,
        least_value: float | None = None,
        most_value: float | None = None,
        search: str | None = None,
        order: Literal[
            "account",
            "ratio",
            "expected_24h",
            "rank",
            "distance",
            "collateral_value",
            "requirement",
        ]
        | None = None,
        as_of: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> types.AccountsPage:
        """Search accounts by venue, asset, health and probability."""
        answer: types.AccountsPage = await self._json(
            "GET",
            "/v1/accounts",
            query={
                "venue": venue,
                "market": market,
                "owner": owner,
                "asset": asset,
                "verdict": verdict,
                "most_ratio": most_ratio,
                "least_expected_24h": least_expected_24h,
                "least_requirement": least_requirement,
                "least_level": least_level,
                "least_distance": least_distance,
                "most_distance": most_distance,
                "least_value": least_value,
                "most_value": most_value,
                "search": search,
                "order": order,
                "as_of": as_of,
                "cursor": cursor,
                "limit": limit,
            },
        )
        return answer

    async def account(self, account: str) -> types.AccountAnswer:
        """An account of the store."""
        answer: types.AccountAnswer = await self._json(
            "GET", "/v1/accounts/{account}", at={"account": account}
        )
        return answer

    async def assessments(
        self, account: str, *, cursor: str | None = None, limit: int | None = None
    ) -> types.History:
        """What was said of an account before."""
        answer: types.History = await self._json(
            "GET",
            "/v1/accounts/{account}/assessments",
            at={"account": account},
            query={"cursor": cursor, "limit": limit},
        )
        return answer

    async def assess(self, body: types.AssessBody) -> types.Batch:
        """Assess accounts of the store and keep what was said."""
        answer: types.Batch = await self._json("POST", "/v1/assessments", body=body, writes=True)
        return answer

    async def export_accounts(
        self,
        *,
        venue: str | None = None,
        market: str | None = None,
        owner: str | None = None,
        asset: str | None = None,
        verdict: str | None = None,
        most_ratio: float | None = None,
        least_expected_24h: float | None = None,
        least_requirement: float | None = None,
        least_level: Literal["watch", "warning", "critical", "liquidated"] | None = None,
        least_distance: float | None = None,
        most_distance: float | None = None,
        least_value: float | None = None,
        most_value: float | None = None,
        search: str | None = None,
        format: Literal["csv", "parquet", "arrow"] | None = None,
    ) -> bytes:
        """Every account with its newest assessment, as a file."""
        answer: bytes = await self._bytes(
            "GET",
            "/v1/export/accounts",
            query={
                "venue": venue,
                "market": market,
                "owner": owner,
                "asset": asset,
                "verdict": verdict,
                "most_ratio": most_ratio,
                "least_expected_24h": least_expected_24h,
                "least_requirement": least_requirement,
                "least_level": least_level,
                "least_distance": least_distance,
                "most_distance": most_distance,
                "least_value": least_value,
                "most_value": most_value,
                "search": search,
                "format": format,
            },
        )
        return answer

    async def alerts(
        self,
        *,
        account: str | None = None,
        begin: str | None = None,
        end: str | None = None,
        least_level: Literal["watch", "warning", "critical", "liquidated"] | None = None,
        kind: Literal["raised", "repeated", "lowered"] | None = None,
        route: Literal["now", "digest", "silent"] | None = None,
        order: Literal["oldest", "newest"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> types.AlertsAnswer:
        """What changed, when, to whom it was told, and whether that arrived."""
        answer: types.AlertsAnswer = await self._json(
            "GET",
            "/v1/alerts",
            query={
                "account": account,
                "begin": begin,
                "end": end,
                "least_level": least_level,
                "kind": kind,
                "route": route,
                "order": order,
                "cursor": cursor,
                "limit": limit,
            },
        )
        return answer

    async def raised_accounts(
        self,
        *,
        least_level: Literal["watch", "warning", "critical", "liquidated"] | None = None,
        account: str | None = None,
        order: Literal["name", "urgency"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> types.RaisedAnswer:
        """Which accounts are on a level now, acknowledged or not."""
        answer: types.RaisedAnswer = await self._json(
            "GET",
            "/v1/alerts/raised",
            query={
                "least_level": least_level,
                "account": account,
                "order": order,
                "cursor": cursor,
                "limit": limit,
            },
        )
        return answer

    async def acknowledge_alert(self, account: str) -> types.WishAnswer:
        """Acknowledge the level an account is on."""
        answer: types.WishAnswer = await self._json(
            "POST", "/v1/accounts/{account}/acknowledge", at={"account": account}, writes=True
        )
        return answer

    async def mute_alerts(self, account: str, body: types.MuteBody) -> types.WishAnswer:
        """Mute an account below critical."""
        answer: types.WishAnswer = await self._json(
            "POST", "/v1/accounts/{account}/mute", at={"account": account}, body=body, writes=True
        )
        return answer

    async def deliveries(
        self,
        *,
        receiver: str | None = None,
        account: str | None = None,
        status: Literal["waiting", "sent", "dead", "stopped"] | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> types.DeliveriesAnswer:
        """What became of every message; `status=dead` lists the dead letters."""
        answer: types.DeliveriesAnswer = await self._json(
            "GET",
            "/v1/deliveries",
            query={
                "receiver": receiver,
                "account": account,
                "status": status,
                "before": before,
                "limit": limit,
            },
        )
        return answer

    async def replay_deliveries(self, body: types.ReplayBody) -> types.ReplayAnswer:
        """Put dead letters back into the outbox, with their keys."""
        answer: types.ReplayAnswer = await self._json(
            "POST", "/v1/deliveries/replay", body=body, writes=True
        )
        return answer

    async def policy(self) -> types.PolicyAnswer:
        """The alert policy in force."""
        answer: types.PolicyAnswer = await self._json("GET", "/v1/policy")
        return answer

    async def preview_policy(self, body: types.PreviewBody) -> types.PreviewAnswer:
        """What a changed policy would have sent over a past period."""
        answer: types.PreviewAnswer = await self._json("POST", "/v1/policy/preview", body=body)
        return answer

    async def receivers(
        self, *, cursor: str | None = None, limit: int | None = None
    ) -> types.ReceiversAnswer:
        """Who is told of alerts."""
        answer: types.ReceiversAnswer = await self._json(
            "GET", "/v1/receivers", query={"cursor": cursor, "limit": limit}
        )
        return answer

    async def receiver(self, receiver: str) -> types.ReceiverAnswer:
        """One receiver: its channels, what it covers, what it agreed to."""
        answer: types.ReceiverAnswer = await self._json(
            "GET", "/v1/receivers/{receiver}", at={"receiver": receiver}
        )
        return answer

    async def put_receiver(self, receiver: str, body: types.ReceiverBody) -> types.WroteAnswer:
        """Add a receiver, or change one."""
        answer: types.WroteAnswer = await self._json(
            "PUT", "/v1/receivers/{receiver}", at={"receiver": receiver}, body=body, writes=True
        )
        return answer

    async def add_channel(self, receiver: str, body: types.ChannelBody) -> types.CodeAnswer:
        """Add a channel and send its one-time code there."""
        answer: types.CodeAnswer = await self._json(
            "POST", "/v1/receivers/{receiver}/channels", at={"receiver": receiver}, body=body
        )
        return answer

    async def resend_code(self, channel: str) -> types.CodeAnswer:
        """Send a channel a fresh one-time code."""
        answer: types.CodeAnswer = await self._json(
            "POST", "/v1/channels/{channel}/resend", at={"channel": channel}
        )
        return answer

    async def rotate_secret(self, channel: str) -> types.SecretAnswer:
        """Give a webhook a new signing secret; the one before signs along."""
        answer: types.SecretAnswer = await self._json(
            "POST", "/v1/channels/{channel}/rotate", at={"channel": channel}
        )
        return answer

    async def confirm_channel(self, channel: str, body: types.ConfirmBody) -> types.DoneAnswer:
        """Confirm a channel by the code that was sent there."""
        answer: types.DoneAnswer = await self._json(
            "POST", "/v1/channels/{channel}/confirm", at={"channel": channel}, body=body
        )
        return answer

    async def stop_channel(self, channel: str) -> types.DoneAnswer:
        """Stop a channel for good."""
        answer: types.DoneAnswer = await self._json(
            "POST", "/v1/channels/{channel}/stop", at={"channel": channel}
        )
        return answer

    async def connections(self) -> types.ConnectionsAnswer:
        """What is followed on chains and exchanges, and how it stands."""
        answer: types.ConnectionsAnswer = await self._json("GET", "/v1/connections")
        return answer

    async def connection(self, connection: str) -> types.ConnectionAnswer:
        """One connection: endpoints, accounts' figures, and what its venue judges otherwise."""
        answer: types.ConnectionAnswer = await self._json(
            "GET", "/v1/connections/{connection}", at={"connection": connection}
        )
        return answer

    async def put_connection(
        self, connection: str, body: types.ConnectionRequest
    ) -> types.ConnectionWritten:
        """Follow accounts of a venue on a chain or of an exchange, or change what is followed."""
        answer: types.ConnectionWritten = await self._json(
            "PUT",
            "/v1/connections/{connection}",
            at={"connection": connection},
            body=body,
            writes=True,
        )
        return answer

    async def delete_connection(self, connection: str) -> types.ConnectionWritten:
        """End a connection; what it wrote of accounts stays."""
        answer: types.ConnectionWritten = await self._json(
            "DELETE", "/v1/connections/{connection}", at={"connection": connection}, writes=True
        )
        return answer

    async def push_prices(self, body: types.PricesBody) -> types.Pushed:
        """Push prices of assets."""
        answer: types.Pushed = await self._json("POST", "/v1/prices", body=body, writes=True)
        return answer

    async def prices(self, *, as_of: str | None = None) -> types.PricesInForce:
        """The prices in force, with their ages."""
        answer: types.PricesInForce = await self._json("GET", "/v1/prices", query={"as_of": as_of})
        return answer

    async def push_candles(self, body: types.CandlesPush) -> types.Pushed:
        """Push closed hourly candles."""
        answer: types.Pushed = await self._json("POST", "/v1/candles", body=body, writes=True)
        return answer

    async def candles(
        self, *, asset: str | None = None, begin: str | None = None, end: str | None = None
    ) -> types.CandlesShown:
        """Hourly candles of an asset, to be drawn."""
        answer: types.CandlesShown = await self._json(
            "GET", "/v1/candles", query={"asset": asset, "begin": begin, "end": end}
        )
        return answer

    async def push_state(self, body: types.StateBody) -> types.Pushed:
        """Push the state of markets."""
        answer: types.Pushed = await self._json("POST", "/v1/state", body=body, writes=True)
        return answer

    async def push_terms(self, body: types.TermsBody) -> types.Pushed:
        """Push the risk parameters of a market."""
        answer: types.Pushed = await self._json("POST", "/v1/terms", body=body, writes=True)
        return answer

    async def push_events(self, body: types.EventsBody) -> types.Pushed:
        """Push what happened to accounts."""
        answer: types.Pushed = await self._json("POST", "/v1/events", body=body, writes=True)
        return answer

    async def book(
        self,
        *,
        venue: str | None = None,
        market: str | None = None,
        owner: str | None = None,
        asset: str | None = None,
    ) -> types.BookAnswer:
        """Collateral at risk by price shock, accounts by risk band, expected liquidations."""
        answer: types.BookAnswer = await self._json(
            "GET",
            "/v1/book",
            query={"venue": venue, "market": market, "owner": owner, "asset": asset},
        )
        return answer

    async def book_map(
        self,
        *,
        venue: str | None = None,
        market: str | None = None,
        owner: str | None = None,
        asset: str | None = None,
        as_of: str | None = None,
    ) -> types.BookMap:
        """Where accounts stand by value and distance to the line, in columns."""
        answer: types.BookMap = await self._json(
            "GET",
            "/v1/book/map",
            query={
                "venue": venue,
                "market": market,
                "owner": owner,
                "asset": asset,
                "as_of": as_of,
            },
        )
        return answer

    async def book_course(
        self,
        *,
        venue: str | None = None,
        horizon: str | None = None,
        begin: str | None = None,
        end: str | None = None,
    ) -> types.BookCourse:
        """Liquidations expected over time, and how many came."""
        answer: types.BookCourse = await self._json(
            "GET",
            "/v1/book/course",
            query={"venue": venue, "horizon": horizon, "begin": begin, "end": end},
        )
        return answer

    async def stress_book(self, body: types.StressBody) -> types.StressAnswer:
        """What price moves would liquidate, round by round."""
        answer: types.StressAnswer = await self._json("POST", "/v1/book/stress", body=body)
        return answer

    async def begin_book_forecast(self, body: types.ForecastBody) -> types.ForecastStatus:
        """Forecast what will be liquidated within a day and a week."""
        answer: types.ForecastStatus = await self._json(
            "POST", "/v1/book/forecasts", body=body, writes=True
        )
        return answer

    async def book_forecast(self, id: str) -> types.ForecastStatus:
        """A forecast of the book: how far it is, or what came of it."""
        answer: types.ForecastStatus = await self._json(
            "GET", "/v1/book/forecasts/{id}", at={"id": id}
        )
        return answer

    async def stop_book_forecast(self, id: str) -> types.ForecastStatus:
        """Stop a forecast of the book."""
        answer: types.ForecastStatus = await self._json(
            "DELETE", "/v1/book/forecasts/{id}", at={"id": id}, writes=True
        )
        return answer

    async def book_risk(self) -> types.RiskAnswer:
        """The newest forecast of the book."""
        answer: types.RiskAnswer = await self._json("GET", "/v1/book/risk")
        return answer

    async def book_risk_history(self, *, limit: int | None = None) -> types.HistoryAnswer:
        """Past forecasts of the book beside what came true."""
        answer: types.HistoryAnswer = await self._json(
            "GET", "/v1/book/risk/history", query={"limit": limit}
        )
        return answer

    async def put_impact(self, asset: str, quote: str, body: types.ImpactBody) -> types.CurveAnswer:
        """State what selling an asset does to its price."""
        answer: types.CurveAnswer = await self._json(
            "PUT",
            "/v1/impact/{asset}/{quote}",
            at={"asset": asset, "quote": quote},
            body=body,
            writes=True,
        )
        return answer

    async def get_impact(self, asset: str, quote: str) -> types.CurveAnswer:
        """The fitted curve of impact of an asset."""
        answer: types.CurveAnswer = await self._json(
            "GET", "/v1/impact/{asset}/{quote}", at={"asset": asset, "quote": quote}
        )
        return answer

    async def put_block_space(
        self, chain: str, body: types.BlockSpaceBody
    ) -> types.BlockSpaceAnswer:
        """State gas price and block space of a chain."""
        answer: types.BlockSpaceAnswer = await self._json(
            "PUT", "/v1/block-space/{chain}", at={"chain": chain}, body=body, writes=True
        )
        return answer

    async def block_spaces(self) -> types.BlockSpacesAnswer:
        """The blocks of every chain, and what liquidations cost and take in them."""
        answer: types.BlockSpacesAnswer = await self._json("GET", "/v1/block-space")
        return answer

    async def lines(self, body: types.LinesBody) -> types.LinesShown:
        """The past probabilities of many accounts, to be drawn."""
        answer: types.LinesShown = await self._json("POST", "/v1/lines", body=body)
        return answer

    async def pulse(self) -> types.Pulse:
        """Whether anything is new: cheap to ask, with an entity tag."""
        answer: types.Pulse = await self._json("GET", "/v1/pulse")
        return answer

    async def preview_terms(self, body: types.TermsPreviewBody) -> types.TermsPreviewAnswer:
        """Who a change of risk parameters would make liquidatable, and whether it may be."""
        answer: types.TermsPreviewAnswer = await self._json("POST", "/v1/terms/preview", body=body)
        return answer

    async def recommend_terms(self, body: types.RecommendBody) -> types.RecommendationStatus:
        """Begin to look which change within one step lowers the expected losses."""
        answer: types.RecommendationStatus = await self._json(
            "POST", "/v1/terms/recommend", body=body, writes=True
        )
        return answer

    async def recommendation(self, id: str) -> types.RecommendationStatus:
        """A recommendation: how far it is, what came of it, and whether it still stands."""
        answer: types.RecommendationStatus = await self._json(
            "GET", "/v1/terms/recommendations/{id}", at={"id": id}
        )
        return answer

    async def recommendations(self, *, limit: int | None = None) -> types.RecommendationsAnswer:
        """The newest recommendations."""
        answer: types.RecommendationsAnswer = await self._json(
            "GET", "/v1/terms/recommendations", query={"limit": limit}
        )
        return answer

    async def parameters(self) -> types.ParametersAnswer:
        """Every parameter that may be changed, as it stands."""
        answer: types.ParametersAnswer = await self._json("GET", "/v1/terms/parameters")
        return answer

    async def bounds(self) -> types.BoundsAnswer:
        """How far each parameter may move at once, and how long between two moves."""
        answer: types.BoundsAnswer = await self._json("GET", "/v1/terms/bounds")
        return answer

    async def put_bounds(self, body: types.BoundsBody) -> types.BoundsAnswer:
        """Put other bounds in force."""
        answer: types.BoundsAnswer = await self._json(
            "PUT", "/v1/terms/bounds", body=body, writes=True
        )
        return answer

    async def proposals(
        self,
        *,
        state: Literal[
            "draft",
            "proposed",
            "simulated",
            "approved",
            "scheduled",
            "active",
            "rolled_back",
            "superseded",
            "rejected",
            "cancelled",
            "expired",
        ]
        | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> types.ProposalsAnswer:
        """Proposals to change risk parameters, the oldest first."""
        answer: types.ProposalsAnswer = await self._json(
            "GET", "/v1/proposals", query={"state": state, "after": after, "limit": limit}
        )
        return answer

    async def create_proposal(self, body: types.ProposalBody) -> types.ProposalAnswer:
        """Propose a change of risk parameters."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals", body=body, writes=True
        )
        return answer

    async def proposal(self, id: str) -> types.ProposalAnswer:
        """One proposal and where it stands."""
        answer: types.ProposalAnswer = await self._json("GET", "/v1/proposals/{id}", at={"id": id})
        return answer

    async def propose_proposal(self, id: str, body: types.ReasonBody) -> types.ProposalAnswer:
        """Propose a draft."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals/{id}/propose", at={"id": id}, body=body, writes=True
        )
        return answer

    async def simulate_proposal(self, id: str) -> types.ProposalAnswer:
        """Preview it on the book of this moment."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals/{id}/simulate", at={"id": id}, writes=True
        )
        return answer

    async def approve_proposal(self, id: str, body: types.ApprovalBody) -> types.ProposalAnswer:
        """Approve what its preview says."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals/{id}/approve", at={"id": id}, body=body, writes=True
        )
        return answer

    async def reject_proposal(self, id: str, body: types.ReasonBody) -> types.ProposalAnswer:
        """Reject it."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals/{id}/reject", at={"id": id}, body=body, writes=True
        )
        return answer

    async def votes_proposal(self, id: str, body: types.VoteBody) -> types.ProposalAnswer:
        """Take a vote on it."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals/{id}/votes", at={"id": id}, body=body, writes=True
        )
        return answer

    async def schedule_proposal(self, id: str) -> types.ProposalAnswer:
        """Schedule it once it is approved."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals/{id}/schedule", at={"id": id}, writes=True
        )
        return answer

    async def activate_proposal(self, id: str) -> types.ProposalAnswer:
        """Put its terms in force, once."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals/{id}/activate", at={"id": id}, writes=True
        )
        return answer

    async def cancel_proposal(self, id: str, body: types.ReasonBody) -> types.ProposalAnswer:
        """Cancel it."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals/{id}/cancel", at={"id": id}, body=body, writes=True
        )
        return answer

    async def rollback_proposal(self, id: str, body: types.ReasonBody) -> types.ProposalAnswer:
        """Propose what stood before it."""
        answer: types.ProposalAnswer = await self._json(
            "POST", "/v1/proposals/{id}/rollback", at={"id": id}, body=body, writes=True
        )
        return answer

    async def governance_policy(self) -> types.GovernanceAnswer:
        """How proposals are governed."""
        answer: types.GovernanceAnswer = await self._json("GET", "/v1/governance/policy")
        return answer

    async def put_governance_policy(self, body: types.GovernanceBody) -> types.GovernanceAnswer:
        """Govern proposals otherwise."""
        answer: types.GovernanceAnswer = await self._json(
            "PUT", "/v1/governance/policy", body=body, writes=True
        )
        return answer

    async def log(
        self, *, after: int | None = None, limit: int | None = None, subject: str | None = None
    ) -> types.LogAnswer:
        """The log of everything that was governed, the oldest first."""
        answer: types.LogAnswer = await self._json(
            "GET", "/v1/log", query={"after": after, "limit": limit, "subject": subject}
        )
        return answer

    async def log_export(self) -> bytes:
        """The whole log, one entry a line, as `forewarn log verify` reads it."""
        answer: bytes = await self._bytes("GET", "/v1/log/export")
        return answer

    async def log_head(self) -> types.HeadAnswer:
        """How long the log is and its root, signed where a key is named."""
        answer: types.HeadAnswer = await self._json("GET", "/v1/log/head")
        return answer

    async def log_proof(self, number: str, *, size: int | None = None) -> types.ProofAnswer:
        """The proof that an entry is in the log (RFC 6962)."""
        answer: types.ProofAnswer = await self._json(
            "GET", "/v1/log/proof/{number}", at={"number": number}, query={"size": size}
        )
        return answer

    async def log_consistency(
        self, *, from_: int | None = None, to: int | None = None
    ) -> types.ProofAnswer:
        """The proof that an earlier log is the beginning of a later one (RFC 6962)."""
        answer: types.ProofAnswer = await self._json(
            "GET", "/v1/log/consistency", query={"from": from_, "to": to}
        )
        return answer

    async def log_verify(self) -> types.CheckAnswer:
        """Whether the log is as it was, against itself and the heads that were exported."""
        answer: types.CheckAnswer = await self._json("GET", "/v1/log/verify")
        return answer

    async def breakers(self) -> types.BreakersAnswer:
        """Every breaker, how it stands, and the effects in force."""
        answer: types.BreakersAnswer = await self._json("GET", "/v1/breakers")
        return answer

    async def put_breaker(self, name: str, body: types.BreakerBody) -> types.BreakerAnswer:
        """Put a breaker in force, or tell when it would have been open."""
        answer: types.BreakerAnswer = await self._json(
            "PUT", "/v1/breakers/{name}", at={"name": name}, body=body, writes=True
        )
        return answer

    async def trip_breaker(self, name: str, body: types.HandBody) -> types.BreakerAnswer:
        """Open a breaker by hand: only a hand closes it again."""
        answer: types.BreakerAnswer = await self._json(
            "POST", "/v1/breakers/{name}/trip", at={"name": name}, body=body, writes=True
        )
        return answer

    async def reset_breaker(self, name: str, body: types.HandBody) -> types.BreakerAnswer:
        """Close a breaker by hand."""
        answer: types.BreakerAnswer = await self._json(
            "POST", "/v1/breakers/{name}/reset", at={"name": name}, body=body, writes=True
        )
        return answer

    async def rulebooks(self) -> types.RulebooksAnswer:
        """Every rulebook with the terms, state and options it reads."""
        answer: types.RulebooksAnswer = await self._json("GET", "/v1/rulebooks")
        return answer

    async def terms(
        self,
        venue: str,
        version: str,
        market: str,
        *,
        as_of: str | None = None,
        chain: str | None = None,
    ) -> types.TermsAnswer:
        """The terms of a market in force."""
        answer: types.TermsAnswer = await self._json(
            "GET",
            "/v1/rulebooks/{venue}/{version}/terms/{market}",
            at={"venue": venue, "version": version, "market": market},
            query={"as_of": as_of, "chain": chain},
        )
        return answer

    async def models(self) -> types.ModelsAnswer:
        """The model in use and what it reads."""
        answer: types.ModelsAnswer = await self._json("GET", "/v1/models")
        return answer

    async def model_moves(self) -> types.MovesAnswer:
        """Promotions and rollbacks: what answered when, by whose word."""
        answer: types.MovesAnswer = await self._json("GET", "/v1/models/moves")
        return answer

    async def model_drift(self) -> types.DriftAnswer:
        """Whether the model in use is still asked about what it was trained for."""
        answer: types.DriftAnswer = await self._json("GET", "/v1/models/drift")
        return answer

    async def models_beside(self) -> types.BesideAnswer:
        """What the challenger says beside the champion."""
        answer: types.BesideAnswer = await self._json("GET", "/v1/models/beside")
        return answer

    async def model_card(self, version: str) -> bytes:
        """A model's card."""
        answer: bytes = await self._bytes(
            "GET", "/v1/models/{version}/card", at={"version": version}
        )
        return answer

    async def model_report(self, version: str) -> bytes:
        """A model's evaluation report."""
        answer: bytes = await self._bytes(
            "GET", "/v1/models/{version}/report", at={"version": version}
        )
        return answer

    async def owner_conduct(self, owner: str, *, as_of: str | None = None) -> types.ConductAnswer:
        """How an owner behaved when a line came near, as a score with reasons."""
        answer: types.ConductAnswer = await self._json(
            "GET", "/v1/owners/{owner}/conduct", at={"owner": owner}, query={"as_of": as_of}
        )
        return answer

    async def owner_conduct_history(
        self, owner: str, *, points: int | None = None
    ) -> types.ConductHistory:
        """An owner's score over time, each from what was known then."""
        answer: types.ConductHistory = await self._json(
            "GET",
            "/v1/owners/{owner}/conduct/history",
            at={"owner": owner},
            query={"points": points},
        )
        return answer

    async def conduct_consent(self, owner: str, body: types.ConsentBody) -> types.ConsentAnswer:
        """Say whether an owner may be scored."""
        answer: types.ConsentAnswer = await self._json(
            "PUT", "/v1/owners/{owner}/conduct/consent", at={"owner": owner}, body=body, writes=True
        )
        return answer

    async def personal_requirements(self, body: types.PersonalBody) -> types.PersonalBatch:
        """What accounts are required beyond their venue, by their own record."""
        answer: types.PersonalBatch = await self._json(
            "POST", "/v1/requirements/personal", body=body
        )
        return answer

    async def put_mandate(self, id: str, body: types.MandateBody) -> types.MandateAnswer:
        """Let a keeper act for an owner, within limits."""
        answer: types.MandateAnswer = await self._json(
            "PUT", "/v1/mandates/{id}", at={"id": id}, body=body, writes=True
        )
        return answer

    async def end_mandate(self, id: str) -> types.MandateAnswer:
        """End a mandate: nothing more is made or accepted by it."""
        answer: types.MandateAnswer = await self._json(
            "DELETE", "/v1/mandates/{id}", at={"id": id}, writes=True
        )
        return answer

    async def mandate(self, id: str) -> types.MandateAnswer:
        """A mandate, and how much of its budget is spent."""
        answer: types.MandateAnswer = await self._json("GET", "/v1/mandates/{id}", at={"id": id})
        return answer

    async def mandates(
        self, *, owner: str | None = None, after: str | None = None, limit: int | None = None
    ) -> types.MandatesAnswer:
        """Mandates by their ids."""
        answer: types.MandatesAnswer = await self._json(
            "GET", "/v1/mandates", query={"owner": owner, "after": after, "limit": limit}
        )
        return answer

    async def orders(
        self,
        *,
        state: Literal["ready", "accepted", "done", "judged", "failed", "withdrawn", "refused"]
        | None = None,
        account: str | None = None,
        mandate: str | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> types.OrdersAnswer:
        """Orders, the newest first."""
        answer: types.OrdersAnswer = await self._json(
            "GET",
            "/v1/orders",
            query={
                "state": state,
                "account": account,
                "mandate": mandate,
                "before": before,
                "limit": limit,
            },
        )
        return answer

    async def ask_order(self, body: types.AskBody) -> types.OrderAnswer:
        """Make an order now, of an account's plan or of an allocation."""
        answer: types.OrderAnswer = await self._json("POST", "/v1/orders", body=body, writes=True)
        return answer

    async def order(self, id: str) -> types.OrderAnswer:
        """One order: what to do, who vouches for it, what became of it."""
        answer: types.OrderAnswer = await self._json("GET", "/v1/orders/{id}", at={"id": id})
        return answer

    async def accept_order(self, id: str, body: types.AcceptBody) -> types.OrderAnswer:
        """Say that you act on an order: nobody else may from then on."""
        answer: types.OrderAnswer = await self._json(
            "POST", "/v1/orders/{id}/accept", at={"id": id}, body=body, writes=True
        )
        return answer

    async def order_done(self, id: str, body: types.DoneBody) -> types.OrderAnswer:
        """Report that an order was carried out."""
        answer: types.OrderAnswer = await self._json(
            "POST", "/v1/orders/{id}/done", at={"id": id}, body=body, writes=True
        )
        return answer

    async def order_failed(self, id: str, body: types.FailedBody) -> types.OrderAnswer:
        """Report that an order could not be carried out."""
        answer: types.OrderAnswer = await self._json(
            "POST", "/v1/orders/{id}/failed", at={"id": id}, body=body, writes=True
        )
        return answer

    async def withdraw_order(self, id: str, body: types.WithdrawBody) -> types.OrderAnswer:
        """Withdraw an order that nobody has accepted."""
        answer: types.OrderAnswer = await self._json(
            "POST", "/v1/orders/{id}/withdraw", at={"id": id}, body=body, writes=True
        )
        return answer

    async def audit(
        self, *, after: int | None = None, limit: int | None = None
    ) -> types.AuditAnswer:
        """Every write: who, what, when."""
        answer: types.AuditAnswer = await self._json(
            "GET", "/v1/audit", query={"after": after, "limit": limit}
        )
        return answer

    async def livez(self) -> types.Alive:
        """Whether the process answers."""
        answer: types.Alive = await self._json("GET", "/livez")
        return answer

    async def readyz(self) -> types.Ready:
        """Whether requests can be answered, and how soundly."""
        answer: types.Ready = await self._json("GET", "/readyz")
        return answer

    async def metrics(self) -> bytes:
        """Prometheus metrics of every worker."""
        answer: bytes = await self._bytes("GET", "/metrics")
        return answer

    async def openapi(self) -> bytes:
        """This document."""
        answer: bytes = await self._bytes("GET", "/openapi.json")
        return answer
