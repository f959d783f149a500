import pytest

from lottery.errors import UsageError
from lottery.terms.step import Step, parse


@pytest.mark.parametrize(
    ("text", "iteration"),
    [("500it", 500), ("2ep", 20), ("1ep5it", 15), ("0it", 0), ("0.25", 25), ("end", 100), ("1.0", 100), ("0", 0)],
)  # fmt: skip
def test_every_spelling(text, iteration):
    assert parse(text, 10, 100).iteration == iteration


@pytest.mark.parametrize("text", ["", "5", "it", "2epochs", "-1it", "1.5", "500 it", "ep2"])
def test_other_spellings_are_refused_in_one_line(text):
    with pytest.raises(UsageError, match="names no step") as error:
        parse(text, 10, 100)
    assert "\n" not in str(error.value)


def test_a_step_prints_back_and_is_ordered():
    for text in ("0it", "7it", "2ep", "2ep3it"):
        assert str(parse(text, 10)) == text
    assert parse("19it", 10) < parse("2ep", 10) <= parse("20it", 10)
    assert parse("15it", 10).epoch == 1.5
    assert Step(3, 10) == Step(3, 20)
