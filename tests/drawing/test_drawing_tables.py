"""Tables: what the command line prints, what a page shows, values as text, and the words of captions."""

import polars as pl
import pytest

from gradflip.claims import wilson
from gradflip.drawing import (
    Column,
    Table,
    counted,
    fixed,
    general,
    heading,
    listed,
    number,
    number_or_infinity,
    share,
    size,
    spanned,
    tiny,
    with_shares,
    yes_no,
)


@pytest.mark.parametrize(
    ("text", "value", "said", "none"),
    [
        (number, 0.123456, "0.123", "–"),
        (number, 12, "12", "–"),
        (number, True, "True", "–"),
        (number_or_infinity, 1234.5, "1.23e+03", "∞"),
        (general, 10.0, "10", "–"),
        (fixed, 9.98765, "9.988", "–"),
        (share, 0.12345, "12.3 %", "–"),
        (size, 1234567, "1,234,567", "–"),
        (tiny, 3.4e-8, "3e-08", "–"),
        (yes_no, True, "yes", "–"),
        (yes_no, False, "no", "–"),
    ],
)
def test_values_as_text(text, value, said, none):
    assert text(value) == said
    assert text(None) == none


def test_the_command_line_leaves_out_what_is_for_the_page_and_a_missing_column_is_a_dash():
    columns = (Column("width", "m"), Column("inputs", "inputs", page_only=True), Column("share", "share", share))
    table = Table("Networks", "", columns, [{"width": 5, "inputs": "pixels"}], held=("width",))
    assert table.names == ["width", "share"]
    assert table.values() == [[5, None]]
    assert table.lines() == [({"width": 5}, ["5", "pixels", "–"])]


def test_shares_carry_their_interval():
    row = with_shares(pl.DataFrame({"flips": [3], "draws": [10]})).row(0, named=True)
    interval = wilson(3, 10)
    assert (row["probability"], row["low"], row["high"]) == (interval.estimate, interval.low, interval.high)


def test_words_of_captions():
    assert listed([3, 1, 3]) == "3, 1"
    assert (spanned([7, 7]), spanned([9, 7])) == ("7", "7-9")
    assert (counted(1, "seed"), counted(3, "seed")) == ("1 seed", "3 seeds")


def test_a_title_has_a_line_below_or_several():
    assert heading("a", "b").to_dict()["subtitle"] == "b"
    assert heading("a", ["b", "c"]).to_dict()["subtitle"] == ["b", "c"]
