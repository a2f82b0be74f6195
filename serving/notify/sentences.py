"""What a message says of one account, sentence by sentence, in one language."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from models.alerting.signals import Level
from serving.words.actions import action_text
from serving.words.answers import notice_text
from serving.words.reasons import reason_text
from serving.words.tables import Words

BOOK = "*"
SHARES = frozenset({"expected", "unattended"})
BUFFERS = frozenset({"buffer", "next_buffer", "buffer_without_forecast"})
VERDICTS = frozenset({"verdict", "next_verdict"})
MOMENTS = frozenset({"accrual", "liquidation"})
REFERENCE = "24h"
NO_LEVEL = Level.NONE.name.lower()
UNEXPLAINED = frozenset({"safe", "liquidatable"})
"""Verdicts that need no reason beside them."""

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One account of a message.

    Parameters
    ----------
    causes, facts, points, plan
        Sentences: why it is told, what the rules say, what may come and why, and what to do.
    """

    title: str
    causes: tuple[str, ...]
    facts: tuple[str, ...]
    points: tuple[str, ...]
    plan: tuple[str, ...]


def _is_number(text: str) -> bool:
    """Return whether text is a number: what another version wrote may be none."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_new(item: Facts) -> bool:
    """Return whether an account was on no level before."""
    return bool(item["was"] == NO_LEVEL)


def gravest(causes: Sequence[Facts]) -> list[Facts]:
    """Return the first cause of each signal and horizon: lower levels' limits are met with it."""
    first: dict[tuple[str, str], Facts] = {}
    for cause in causes:
        first.setdefault((cause["signal"], cause["horizon"]), cause)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says things in one language, by one clock.

    Parameters
    ----------
    zone
        IANA name; UTC stands beside its time.
    """

    words: Words
    zone: str = "UTC"

    def time(self, at: str | datetime | None) -> str:
        """Return a moment by the clock."""
        return self.words.time(at, self.zone)

    def named(self, account: str) -> str:
        """Return what an account is called."""
        return self.words.say("message.book") if account == BOOK else account

    def section(self, item: Facts) -> Section:
        """Return one account of a message."""
        said, words = item["assessment"], self.words
        return Section(
            title=self._title(item),
            causes=tuple(
                words.say("message.because", cause=self.cause(cause))
                for cause in gravest(item["causes"])
            ),
            facts=() if said is None else tuple(self._facts(said)),
            points=() if said is None else tuple(self._points(said)),
            plan=tuple(self.plan(item)),
        )

    def _title(self, item: Facts) -> str:
        """Return which account changed, how and when."""
        words = self.words
        changed = words.say(
            "message.begun" if _is_new(item) else "message.changed",
            account=self.named(item["account"]),
            was=words.word("level", item["was"]),
            level=words.word("level", item["level"]),
        )
        again = f" ({words.say('message.again')})" if item["kind"] == "repeated" else ""
        return f"{changed}{again}, {words.say('message.at', time=self.time(item['at']))}"

    def cause(self, cause: Facts) -> str:
        """Return why a level is raised."""
        signal, value, limit = cause["signal"], cause["found"], cause["limit"]
        words, key = self.words, f"cause.{signal}"
        is_figure = _is_number(value) and _is_number(limit)
        if signal in SHARES | BUFFERS | {"sigmas"} and not is_figure:
            key = "cause.other"
        elif signal in SHARES:
            value, limit = words.percent(float(value)), words.percent(float(limit))
        elif signal in BUFFERS:
            key += "_past" if float(value) < 0.0 else ""
            value, limit = words.move(value), words.move(limit)
        elif signal in VERDICTS:
            value = words.word("verdict", value)
        elif signal in MOMENTS:
            value, limit = self.time(value), words.label(limit)
        elif signal == "doubt":
            value = ", ".join(words.word("doubt", code) for code in value.split(", "))
        elif signal == "sigmas":
            value, limit = words.number(value), words.number(limit)
        horizon = words.label(cause["horizon"])
        if signal not in words.fallback["cause"]:
            key = "cause.other"
        return words.say(key, found=value, limit=limit, horizon=horizon, signal=signal)

    def _facts(self, said: Facts) -> Iterator[str]:
        """Yield what the rules say, and where they turn."""
        words, rule = self.words, said["rule"]
        age = said["prices_as_of"]
        prices = words.say("message.unknown_age") if age is None else self.time(age)
        yield words.say("message.as_of", as_of=self.time(said["as_of"]), prices=prices)
        yield f"{'; '.join(self._rule(said['rulebook'], rule))}."
        if rule.get("shock_trigger"):
            shock = rule["shock_trigger"]
            key = "falls" if shock["direction"] == "below" else "rises"
            yield words.say(f"message.market_{key}", share=words.move(shock["shock"]))
        if rule["trigger"]:
            trigger = rule["trigger"]
            yield words.say(
                f"message.{trigger['direction']}",
                asset=trigger["asset"],
                price=words.amount(trigger.get("token_price") or trigger["price"]),
            )
        if rule["next_verdict"]:
            soon = rule["next_verdict"]
            verdict = words.word("verdict", soon["verdict"])
            key = "next_at" if soon["at"] else "next"
            yield words.say(f"message.{key}", verdict=verdict, at=self.time(soon["at"]))

    def _rule(self, rulebook: Facts, rule: Facts) -> Iterator[str]:
        """Yield the parts of what the rules say."""
        words, verdict = self.words, rule["verdict"]
        reason = "" if verdict in UNEXPLAINED else f" ({words.word('rule_reason', rule['reason'])})"
        yield (
            words.say(
                "message.rule",
                venue=rulebook["venue"],
                version=rulebook["version"],
                verdict=words.word("verdict", verdict),
            )
            + reason
        )
        if rule["ratio"]:
            yield self.ratio(rule["ratio"])
        if rule["surplus"] is not None:
            yield words.say("message.surplus", value=words.amount(rule["surplus"]))

    def ratio(self, ratio: Facts) -> str:
        """Return a venue's ratio under its name."""
        words, value = self.words, ratio["value"]
        text = (
            words.say("message.without_debt")
            if value is None
            else words.ratio(ratio["name"], value)
        )
        return words.say("message.ratio", name=ratio["name"].replace("_", " "), value=text)

    def _points(self, said: Facts) -> Iterator[str]:
        """Yield what may come, why, and what is doubtful about it."""
        words = self.words
        for entry in said["forecast"]:
            yield words.say(
                "message.within",
                horizon=words.label(entry["horizon"]),
                expected=words.percent(entry["expected"]),
                unattended=words.percent(entry["unattended"]),
            )
        for reason in said["reasons"]:
            yield reason_text(words, reason, zone=self.zone)
        for notice in said["degraded_reasons"]:
            yield words.say("message.degraded", text=self.notice(notice))

    def notice(self, notice: Facts) -> str:
        """Return why less than everything is said."""
        return notice_text(self.words, notice)

    def plan(self, item: Facts) -> Iterator[str]:
        """Yield what to do, or why nothing can be said."""
        words, plan, absent = self.words, item["plan"], item["plan_absent"]
        if plan and plan["actions"]:
            key = "reached" if plan["is_reached"] else "missed"
            yield words.say(
                f"plan.{key}",
                target=self._target(plan["target"]),
                why=words.word("why", plan["reason"]),
                actions=", ".join(action_text(words, act) for act in plan["actions"]),
                after=", ".join(self._after(plan["after"], plan["target"]["horizon"])),
            )
            if any(cause["signal"] == "doubt" for cause in item["causes"]):
                yield words.say("plan.doubt")
        elif plan:
            key = "nothing" if plan["is_reached"] else "none"
            yield words.say(f"plan.{key}", why=words.word("why", plan["reason"]))
        elif absent:
            yield words.say("plan.none", why=words.word("why", absent))

    def _target(self, target: Facts) -> str:
        """Return what a plan is to reach."""
        words, buffer = self.words, target.get("buffer")
        if buffer and Fraction(buffer):
            text = words.say("plan.to_buffer", share=words.move(buffer))
        else:
            text = words.say("plan.to_health", health=words.number(target["health"]))
        if target["probability"] is not None:
            text = words.say(
                "plan.to_probability",
                target=text,
                probability=words.percent(target["probability"]),
                head=words.word("head", target["head"]),
                horizon=words.label(target["horizon"]),
            )
        if target.get("sigmas"):
            sigmas = words.number(target["sigmas"])
            text = words.say("plan.to_sigmas", target=text, sigmas=sigmas)
        return text

    def _after(self, after: Facts, horizon: str) -> Iterator[str]:
        """Yield where a plan leads."""
        words = self.words
        yield words.word("verdict", after["verdict"])
        if after["health"] is not None:
            yield words.say("plan.health", health=words.number(after["health"]))
        if after["ratio"] and after["ratio"]["value"]:
            yield self.ratio(after["ratio"])
        for entry in after["forecast"]:
            if entry["horizon"] in {REFERENCE, horizon}:
                yield words.say(
                    "plan.chance",
                    expected=words.percent(entry["expected"]),
                    unattended=words.percent(entry["unattended"]),
                    horizon=words.label(entry["horizon"]),
                )

    def alarm(self, facts: Facts) -> str:
        """Return what keeps alerts from being made or from arriving."""
        return self._alarm("alarm", facts)

    def subject(self, facts: Facts) -> str:
        """Return the first line of a message."""
        shape, words = facts["shape"], self.words
        if shape == "heartbeat":
            return self._alarm("subject", facts)
        if shape == "order":
            order = facts["order"]
            until = self.time(order["expires_at"])
            return words.say("subject.order", id=order["id"], until=until)
        if shape == "verify":
            return words.say("subject.verify", code=facts["code"])
        first = facts["items"][0]
        level = words.word("level", first["level"])
        if shape != "single":
            count = len(facts["items"]) + facts["more"]
            key = "digest" if shape == "digest" else "aggregate"
            return words.say(f"subject.{key}", level=level, count=count)
        raised = "begun" if _is_new(first) else "raised"
        key = first["kind"] if first["kind"] in {"lowered", "repeated"} else raised
        was = words.word("level", first["was"])
        account = self.named(first["account"])
        return words.say(f"subject.{key}", level=level, account=account, was=was)

    def _alarm(self, group: str, facts: Facts) -> str:
        """Return an alarm's sentence of a group."""
        words, what = self.words, facts["what"]
        key = what if what in words.fallback[group] else "silence"
        return words.say(
            f"{group}.{key}",
            what=words.word("part", what),
            since=self.time(facts["since"]),
            name=facts["name"],
            owner=facts["owner"],
            error=facts["error"],
            accounts=facts["accounts"],
            limit=words.label(f"{facts['limit_minutes']}min"),
        )

    def counts(self, counts: Mapping[str, int]) -> str:
        """Return how many accounts are on which level."""
        words = self.words
        each = [
            words.say("message.count", count=count, level=words.word("level", level))
            for level, count in counts.items()
        ]
        return words.say("message.counts", counts=", ".join(each))

    def order(self, facts: Facts) -> Sequence[str]:
        """Return what a keeper may do, line by line."""
        words, order = self.words, facts["order"]
        head = words.say(
            "message.order",
            mandate=order["mandate"],
            trigger=order["trigger"],
            reading=order["reading"],
        )
        moves = words.say(
            "message.order_moves",
            value=words.amount(order["value"]),
            until=self.time(order["expires_at"]),
        )
        acts = [f"  {act['account']}: {action_text(words, act)}" for act in order["actions"]]
        return head, *acts, moves, words.say("message.order_id", id=order["id"])
