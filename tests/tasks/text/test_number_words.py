"""Numbers in words: cases by hand, and pieces that make the word again."""

import pytest

from lottery.components.datasets.numbers import draw, numbers
from lottery.errors import UsageError
from lottery.tasks.text.number_words import english, german, pieces

SAID = {
    1: ("one", "eins"),
    11: ("eleven", "elf"),
    16: ("sixteen", "sechzehn"),
    21: ("twenty-one", "einundzwanzig"),
    30: ("thirty", "dreißig"),
    77: ("seventy-seven", "siebenundsiebzig"),
    100: ("one hundred", "einhundert"),
    101: ("one hundred one", "einhunderteins"),
    111: ("one hundred eleven", "einhundertelf"),
    1_000: ("one thousand", "eintausend"),
    1_001: ("one thousand one", "eintausendeins"),
    21_000: ("twenty-one thousand", "einundzwanzigtausend"),
    101_101: ("one hundred one thousand one hundred one", "einhunderteintausendeinhunderteins"),
    1_000_000: ("one million", "eine Million"),
    1_000_001: ("one million one", "eine Million eins"),
    2_100_001: ("two million one hundred thousand one", "zwei Millionen einhunderttausendeins"),
    9_999_999: ("nine million nine hundred ninety-nine thousand nine hundred ninety-nine",
                "neun Millionen neunhundertneunundneunzigtausendneunhundertneunundneunzig"),
}  # fmt: skip


@pytest.mark.parametrize("number", SAID)
def test_a_number_in_words(number):
    assert (english(number), german(number)) == SAID[number]


def test_pieces_make_the_word_again_and_lose_nothing_of_the_other():
    for number in [*range(1, 1200), *range(1200, 10_000_000, 9973)]:
        assert "".join(pieces(german(number))) == german(number)
        assert pieces(english(number)) == english(number).replace("-", " ").split()
    assert pieces("zwei Millionen einhunderttausendeins") == ["zwei", " Millionen ", "ein", "hundert", "tausend", "eins"]


def test_numbers_of_every_length_none_of_them_twice():
    found = draw(3000, 0)
    assert len(set(found)) == len(found) == 3000 and draw(3000, 0) == found != draw(3000, 1)
    digits = [sum(len(str(n)) == d for n in found) for d in range(1, 8)]
    assert digits[:2] == [9, 90] and set(digits[2:]) <= {580, 581}


def test_no_number_is_in_two_splits():
    task = numbers(None, **SETTINGS | {"examples": 300, "validation": 40, "test": 50})
    lines = [pair for name in ("train", "val", "test") for pair in task.splits[name].pairs]
    assert len({*lines}) == 390 and [task.size(name) for name in ("train", "val", "test")] == [300, 40, 50]
    assert "hundert" in task.words.parts and task.chance == 0


SETTINGS = {"examples": 30, "validation": 5, "test": 5, "split_seed": 0, "tokens": 0, "sentences": 0, "beam": 1, "penalty": 0.6}


@pytest.mark.parametrize(
    ("setting", "said"),
    [({"examples": 0}, "examples=0 is below 1; type dataset.examples=500"), ({"test": 10**7}, "type at most 1000000"), ({"tokens": -1}, "tokens=-1 is below 0; type dataset.tokens=0"),
     ({"beam": 0}, "beam=0 is below 1; type dataset.beam=1"), ({"sentences": -2}, "sentences=-2 is below 0"), ({"penalty": float("nan")}, "penalty=nan is below 0")],
)  # fmt: skip
def test_what_cannot_be_is_told(setting, said):
    with pytest.raises(UsageError, match=said):
        numbers(None, **SETTINGS | setting)
