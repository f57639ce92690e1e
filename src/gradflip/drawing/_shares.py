"""Shares with their intervals."""

from __future__ import annotations

import polars as pl

from gradflip.claims import wilson


def with_shares(counts: pl.DataFrame, flips: str = "flips", draws: str = "draws") -> pl.DataFrame:
    """Add shares and their 95 % intervals to counts.

    Args:
        counts: A row per share.
        flips: The column with the number of events.
        draws: The column with the number of draws.

    Returns:
        The rows with columns `probability`, `low`, `high`.

    Source: Wilson's interval, docs/mathematics/statistics.md, Probabilities.
    """
    intervals = [wilson(count, total) for count, total in counts.select(flips, draws).iter_rows()]
    return counts.with_columns(
        pl.Series("probability", [interval.estimate for interval in intervals], dtype=pl.Float64),
        pl.Series("low", [interval.low for interval in intervals], dtype=pl.Float64),
        pl.Series("high", [interval.high for interval in intervals], dtype=pl.Float64),
    )
