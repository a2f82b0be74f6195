"""What is to be done, in whole tokens with what it is worth."""

from collections.abc import Mapping
from typing import Any

from serving.words.tables import Words


def action_text(words: Words, action: Mapping[str, Any]) -> str:
    """Return one action of a plan or an order: `repay 2,151.72 USDC (worth 2,151.71)`.

    Amounts are rounded up: what must be moved at least is not told short.

    Parameters
    ----------
    action
        As the API answers it; without `tokens` as an earlier version wrote it.
    """
    text = words.say(f"kind.{action['kind']}", amount=quantity_text(words, action))
    repays = action.get("repays")
    if repays:
        text = words.say("plan.repays", action=text, amount=quantity_text(words, repays))
    if action.get("value") is None:
        return text
    return words.say("plan.worth", action=text, value=words.amount(action["value"]))


def token_text(words: Words, token: Mapping[str, Any]) -> str:
    """Return what is held or owed of an asset: `2,152.14 USDC`."""
    return words.say("plan.tokens", amount=words.amount(token["amount"]), asset=token["asset"])


def quantity_text(words: Words, quantity: Mapping[str, Any]) -> str:
    """Return an amount in whole tokens; where they are not known, in the venue's units."""
    tokens, asset = quantity.get("tokens"), quantity["asset"]
    if tokens is None:
        return words.say("plan.units", quantity=quantity["quantity"], asset=asset)
    return words.say("plan.tokens", amount=words.amount(tokens, up=True), asset=asset)
