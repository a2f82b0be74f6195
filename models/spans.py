"""Durations as people read them."""

from datetime import timedelta

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def span_text(span: timedelta) -> str:
    """Return a duration in its two largest units, such as `3 d 4 h`, cut to whole seconds."""
    left = int(span.total_seconds())
    parts = []
    for name, seconds in UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {name}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"
