"""What stands for an asset on exchanges is on record, and a name alone stands for nothing."""

import tomllib
from importlib.resources import files

from models.pegs import moving
from models.symbols import Proxy, names_of, proxy_of, unmapped


def test_a_wrapped_coin_is_the_coin_and_a_share_is_a_rate_of_it() -> None:
    """WETH moves as ETH does; wstETH is some of it, by a rate."""
    assert proxy_of("WETH") == Proxy("ETH", is_share=False)
    assert proxy_of("wstETH") == Proxy("ETH", is_share=True)
    assert proxy_of("weth") is None
    assert "WETH" in names_of("ETH")
    assert "wstETH" not in names_of("ETH")


def test_a_contract_is_followed_by_its_coin_where_that_is_on_record() -> None:
    """As exchanges name contracts; a multiple of a coin, or one that nobody recorded, is none."""
    for name in ("ETHUSDT", "ETHPERP", "ETH-USDC-SWAP", "ETH-USD", "ETH-PERPETUAL"):
        assert proxy_of(name) == Proxy("ETH", is_share=False)
    for name in ("1000PEPEUSDT", "WETHUSDT", "ETH-USDT-241227", "USDT"):
        assert proxy_of(name) is None
    assert unmapped(["BTCUSDT", "NEWUSDT"]) == ("NEWUSDT",)


def test_what_keeps_its_price_needs_no_coin_and_the_rest_is_named() -> None:
    """Dollars are not missed; a token that may be anything is."""
    assert unmapped(["WETH", "USDC", "XYZ", "ABC", "sDAI"]) == ("ABC", "XYZ")


def test_every_name_stands_once_and_moves() -> None:
    """No asset is of two coins, and none is on record as keeping its price."""
    tree = tomllib.loads((files("models") / "symbols.toml").read_text(encoding="utf-8"))
    names = [name for table in ("coin", "share") for each in tree[table].values() for name in each]
    assert len(names) == len(set(names))
    assert moving(names, None) == tuple(names)
    assert tree["share"].keys() <= tree["coin"].keys()
