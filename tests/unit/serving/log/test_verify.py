"""What is found of a log that somebody changed, with and without heads kept elsewhere."""

import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from models.errors import InvalidInput
from serving.cli.log import app
from serving.log.entries import START, Entry, canonical, chained, digest, leaf_of
from serving.log.heads import Head, append_head, new_key, read_heads, read_key, signed
from serving.log.merkle import root
from serving.log.verify import CANNOT_TELL, exported, lines_of, verify

AT = datetime(2026, 3, 10, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
COUNT = 6


def lines(count: int = COUNT, *, actor: str = "desk", at: datetime = AT) -> list[bytes]:
    """Return an export of some entries."""
    chain, made = START, []
    for number in range(count):
        entry = Entry(
            number=number,
            time=at + timedelta(minutes=number),
            actor=actor,
            action="propose",
            subject=f"proposal {number}",
            body={"to": "0.90", "why": "Ångström"},
            previous=chain,
        ).encoded()
        chain = chained(chain, leaf_of(entry))
        made.append(exported(entry, chain))
    return made


def leaves(of: Sequence[bytes]) -> list[bytes]:
    """Return the leaves of an export's entries."""
    return [leaf_of(line[len(b'{"chain":"') + 64 + len(b'","entry":') : -1]) for line in of]


def head(of: Sequence[bytes], size: int, key: Ed25519PrivateKey = KEY) -> Head:
    """Return the signed head of the first entries."""
    return signed(key, size=size, root=root(leaves(of)[:size]), time=AT)


def test_a_whole_log_is_whole() -> None:
    """With a head over all of it nothing is left open."""
    log = lines()
    finding = verify(log, [head(log, 2), head(log, COUNT)])
    assert (finding.is_whole, finding.covered, finding.caution) == (True, COUNT, None)
    assert finding.root == root(leaves(log))


def test_any_flipped_byte_is_named() -> None:
    """Every byte of every entry, without any head."""
    log = lines()
    for number, line in enumerate(log):
        for place in range(len(line)):
            changed = bytes([*line[:place], line[place] ^ 1, *line[place + 1 :]])
            if changed.lower() == line.lower() and changed != line:
                continue  # the same hash in capitals is the same hash
            finding = verify([*log[:number], changed, *log[number + 1 :]])
            assert finding.first_bad == number, (number, place, finding)


def test_a_deletion_is_named() -> None:
    """The first entry that is not where it should be."""
    log = lines()
    for number in range(COUNT - 1):
        assert verify([*log[:number], *log[number + 1 :]]).first_bad == number


def test_a_swap_is_named() -> None:
    """The first of the two."""
    log = lines()
    for number in range(COUNT - 1):
        swapped = [*log[:number], log[number + 1], log[number], *log[number + 2 :]]
        assert verify(swapped).first_bad == number


def test_an_entry_changed_with_its_chain_is_named() -> None:
    """Whoever changes an entry and its own chain breaks the next: the changed one is named."""
    log, forged = lines(), lines(actor="thief")
    chain = START
    for number in range(COUNT - 1):
        entry = forged[number][len(b'{"chain":"') + 64 + len(b'","entry":') : -1]
        entry = entry.replace(_previous(forged[number]), chain.hex().encode())
        made = exported(entry, chained(chain, leaf_of(entry)))
        assert verify([*log[:number], made, *log[number + 1 :]]).first_bad == number
        chain = bytes.fromhex(log[number][10:74].decode())


def _previous(line: bytes) -> bytes:
    """Return the chain before an entry, as the entry states it."""
    begin = line.index(b'"previous":"') + len(b'"previous":"')
    return line[begin : begin + 64]


def test_a_log_cut_short_is_known_by_a_head_alone() -> None:
    """Against a head the first missing entry is named; without one it says it cannot tell."""
    log = lines()
    finding = verify(log[:4], [head(log, 3), head(log, COUNT)])
    assert finding.first_bad == 4
    assert "cut off" in (finding.reason or "")
    silent = verify(log[:4])
    assert (silent.is_whole, silent.caution) == (True, CANNOT_TELL)


def test_a_log_written_anew_is_known_by_a_head_alone() -> None:
    """Against heads the first entry that none vouches for is named."""
    log, forged = lines(), lines(actor="thief")
    assert verify(forged, [head(log, COUNT)]).first_bad == 0
    retained = lines(2)
    rewritten = lines(COUNT, at=AT)
    assert rewritten[:2] == retained
    tail = _continued(retained, actor="thief")
    finding = verify(tail, [head(log, 2), head(log, 4)])
    assert finding.first_bad == 2
    assert "written anew" in (finding.reason or "")
    assert verify(forged).caution == CANNOT_TELL


def _continued(log: list[bytes], *, actor: str) -> list[bytes]:
    """Return a log with further entries of somebody."""
    made = list(log)
    for number in range(len(log), COUNT):
        chain = bytes.fromhex(made[-1][10:74].decode())
        entry = Entry(
            number=number,
            time=AT + timedelta(minutes=number),
            actor=actor,
            action="propose",
            subject="",
            body={},
            previous=chain,
        ).encoded()
        made.append(exported(entry, chained(chain, leaf_of(entry))))
    return made


def test_what_no_head_covers_is_said() -> None:
    """The last entries could be rewritten: the answer does not vouch for them."""
    log = lines()
    finding = verify(log, [head(log, 4)])
    assert finding.is_whole
    assert "the last 2 entries" in (finding.caution or "")


def test_a_head_of_another_key_counts_for_nothing() -> None:
    """It is named, and a forged log with forged heads is not taken for whole."""
    forged = lines(actor="thief")
    trusted = KEY.public_key().public_bytes_raw().hex()
    finding = verify(forged, [head(forged, COUNT, OTHER)], trusted=trusted)
    assert (finding.is_whole, finding.unsound) == (False, (COUNT,))
    log = lines()
    moved = signed(KEY, size=COUNT, root=root(leaves(log)), time=AT)
    changed = Head(size=5, root=moved.root, time=AT, key=moved.key, signature=moved.signature)
    assert verify(log, [changed]).unsound == (5,)


def test_a_clock_that_goes_back_is_refused() -> None:
    """Times of a log never fall."""
    chain, made = START, []
    for number, at in enumerate((AT, AT - timedelta(seconds=1))):
        entry = Entry(
            number=number, time=at, actor="", action="", subject="", body={}, previous=chain
        ).encoded()
        chain = chained(chain, leaf_of(entry))
        made.append(exported(entry, chain))
    assert verify(made).first_bad == 1


def test_canonical_json() -> None:
    """The order of keys and the writing of numbers say nothing; NaN has no form."""
    assert canonical({"b": 1.0, "a": 1e21}) == canonical({"a": 1e21, "b": 1})
    assert digest({"a": [1, "é"]}) == digest({"a": [1, "é"]})
    assert canonical({"€": "\u20ac", "1": True}) == '{"1":true,"€":"€"}'.encode()
    with pytest.raises(InvalidInput, match="no canonical JSON"):
        canonical({"a": float("nan")})


def test_keys_and_heads_in_files(tmp_path: Path) -> None:
    """A key is its owner's alone and never written over; heads are read back as signed."""
    path, heads = tmp_path / "log.key", tmp_path / "heads.jsonl"
    public = new_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(InvalidInput, match="exists"):
        new_key(path)
    log = lines()
    for size in (2, COUNT):
        made = signed(read_key(path), size=size, root=root(leaves(log)[:size]), time=AT)
        append_head(heads, made)
    result = read_heads(heads.read_text().splitlines(), name="heads")
    assert [head.size for head in result] == [2, COUNT]
    assert verify(log, result, trusted=public).caution is None
    with pytest.raises(InvalidInput, match="heads:1"):
        read_heads(["{}"], name="heads")
    path.write_text("00")
    with pytest.raises(InvalidInput, match="a seed is 32"):
        read_key(path)


def test_lines_of_a_file() -> None:
    """The last line may lack its end."""
    log = lines(2)
    assert list(lines_of(b"\n".join(log))) == list(lines_of(b"\n".join(log) + b"\n")) == log


def test_a_key_that_is_none_is_refused_and_one_that_did_not_sign_is_told(tmp_path: Path) -> None:
    """The command ends with 2 and names the option; with another's key it ends with 3."""
    log, place, heads = lines(), tmp_path / "log.jsonl", tmp_path / "heads.jsonl"
    place.write_bytes(b"\n".join(log) + b"\n")
    append_head(heads, head(log, COUNT))
    command = ["verify", str(place), "--heads", str(heads), "--key"]
    for wrong in ("zz", "00", ""):
        refused = CliRunner().invoke(app, [*command, wrong])
        assert refused.exit_code == 2, refused.output
        assert refused.stderr.startswith(f"--key: {wrong!r} is no public key")
    mine, theirs = (key.public_key().public_bytes_raw().hex() for key in (KEY, OTHER))
    assert CliRunner().invoke(app, [*command, mine.upper()]).exit_code == 0
    told = CliRunner().invoke(app, [*command, theirs])
    assert (told.exit_code, "did not sign" in told.stderr) == (3, True)
