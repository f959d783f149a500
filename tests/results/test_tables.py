"""Tables for people and spreadsheets: numbers stay numbers, text never becomes a formula."""

import csv
import io
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lottery.storage.tables import FORMULA, table


def cells(data):
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def test_a_number_that_there_is_not_is_an_empty_cell():
    assert table([{"a": 1, "b": math.nan}, {"a": None, "b": 0.5}]) == b"a,b\n1,\n,0.5\n"


def test_columns_stand_in_the_order_in_which_they_appear():
    assert table([{"a": 1}, {"b": True, "a": "x"}]) == b"a,b\n1,\nx,True\n"


@pytest.mark.parametrize("text", ["=1+2", "+1", "-1", "@SUM(A1)", "=cmd|'/c calc'!A0", "＝1"])
def test_text_that_a_spreadsheet_would_run_is_quoted(text):
    assert cells(table([{text: text}])) == [[f"'{text}"], [f"'{text}"]]


@pytest.mark.parametrize("text", ["\t=1", "\r=1", "\n=1", "a\r\n=1", "\x1b[31m", "\ud800", "\u202e=1"])
def test_what_cannot_be_seen_is_spelled_out(text):
    assert cells(table([{"a": text}])) == [["a"], [text.encode("unicode_escape").decode()]]


@pytest.mark.parametrize("number", [-1, -0.5, 1e-7, -1e300, -math.inf])
def test_numbers_stay_numbers(number):
    (found,) = pd.read_csv(io.BytesIO(table([{"a": number}])))["a"]
    assert found == number


@given(st.lists(st.fixed_dictionaries(dict.fromkeys("abc", st.text())), min_size=1))
def test_no_text_at_all_breaks_a_row_or_becomes_a_formula(rows):
    found = cells(table(rows))
    assert [len(line) for line in found] == [3] * (len(rows) + 1)
    assert not [c for line in found for c in line if c.startswith(FORMULA)]


@given(st.lists(st.fixed_dictionaries({"a": st.text("aü 日,;\"'=", min_size=1)}), min_size=1))
def test_other_text_is_left_alone(rows):
    for row, (found,) in zip(rows, cells(table(rows))[1:], strict=True):
        assert found == ("'" if row["a"].lstrip().startswith("=") else "") + row["a"]
