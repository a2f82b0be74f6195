"""No vector file goes unread."""

from pathlib import Path

import pytest
from vectors import directory

FILES = sorted(path.name for path in directory().glob("*.json")) if directory().is_dir() else []


@pytest.mark.parametrize("file", FILES)
def test_every_vector_file_is_read_by_a_test(file: str) -> None:
    """A file that no conformance test names would pass unnoticed."""
    tests = Path(__file__).parent.glob("test_*.py")
    assert any(f'"{file}"' in path.read_text() for path in tests), f"nothing reads {file}"
