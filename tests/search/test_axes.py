"""What a search may vary: the grammar, what is refused, and how values are said."""

import pytest

from lottery.errors import UsageError
from lottery.search.asked import asked
from lottery.search.axes import Axis, axis


def made(text):
    return axis(f"space.k={text}", lambda key, value: key)


def test_the_grammar():
    assert made("log:0.01:0.3") == Axis("k", "log:0.01:0.3", (), 0.01, 0.3, log=True)
    assert made("-1:1") == Axis("k", "-1:1", (), -1.0, 1.0)
    assert made("int:16:64") == Axis("k", "int:16:64", (), 16, 64, whole=True)
    assert made("int:log:16:64") == Axis("k", "int:log:16:64", (), 16, 64, log=True, whole=True)
    assert made("a,[b,c],'d,e'").choices == ("a", "[b,c]", "'d,e'")
    assert made("2:4,1:2").choices == ("2:4", "1:2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "type space.KEY="), ("0.1", "of a single value there is no choice; type k=0.1"), ("a,,b", "an empty value"),
        ("a,b,a", "a stands there twice"), ("0.3:0.1", "0.3 is not below 0.1"), ("1:1", "1 is not below 1"),
        ("log:0:1", "no logarithm of 0"), ("log:-1:1", "no logarithm of -1"), ("int:1.5:2", "no whole numbers"),
        ("a:b", "a to b are no numbers"), ("0:inf", "finite"), ("nan:1", "finite"), ("lg:1:2", "'lg:1:2' is no range"),
        ("log:log:1:2", "no range"), ("log:1", "'log:1' is no range"),
    ],
)  # fmt: skip
def test_what_is_no_space(text, said):
    with pytest.raises(UsageError, match="^search: space.k=") as caught:
        made(text)
    assert said in str(caught.value)


def test_values_have_few_digits_and_stay_between_the_ends():
    lr = made("log:0.0123456:0.3")
    assert [lr.said(v) for v in (0.0123456, 0.01234561, 0.0646642271, 0.3)] == ["0.0123456", "0.0123456", "0.0647", "0.3"]
    assert made("0:1").said(0.123456) == "0.12" and made("0:1000").said(123.456) == "120"
    assert made("1e-6:1e-3").said(0.0005) == "0.0005" and made("log:1e-6:1e-3").said(1.23456e-05) == "1.23e-05"
    assert made("int:16:64").said(17) == "17"
    narrow = made("0.9001:0.9002")
    assert narrow.said(0.90015678) == "0.9001568" and 0.9001 <= float(narrow.said(0.90019999)) <= 0.9002


def test_a_value_that_was_said_is_said_the_same_again():
    for each in (made("log:0.001:0.5"), made("0:7"), made("-3:-1")):
        for part in range(1, 200):
            once = each.said(each.low + (each.high - each.low) * part / 200)
            assert each.said(float(once)) == once


NET = ["model=lenet_300_100", "dataset=digits"]


def test_the_words_of_a_search_come_apart():
    found = asked([*NET, "space.lr=log:0.01:0.3", "space.prune=imp,snip", "trials=7", "workers=2", "replicate=0,1", "at=area"])
    assert found.trials == 7 and found.own["at"] == "area" and found.replicates == ("0", "1")
    assert found.words == (*NET, "host.workers=2")
    assert [a.key for a in found.axes] == ["train.optimizer.lr", "prune"]
    first = ("train.optimizer.lr=0.01", "prune=imp")
    assert found.probes() == [first, ("train.optimizer.lr=0.3", "prune=imp"), ("train.optimizer.lr=0.01", "prune=snip")]


def test_a_short_key_is_that_of_an_option_that_is_searched():
    found = asked(["dataset=digits", "space.hidden=[10],[10,20]", "space.model=lenet_300_100,conv2"])
    assert [a.key for a in found.axes] == ["model.hidden", "model"]
    assert found.probes()[0] == ("model.hidden=[10]", "model=lenet_300_100")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no setting is to be chosen; type space.KEY="), (["spcae.lr=0:1"], "did you mean space.lr=0:1?"), (["space.lr=log:1"], "'log:1' is no range"),
        (["space.dataset=digits,mnist"], "judged by validation data of its own"), (["space.dataset.validation=int:10:90"], "data of its own"),
        (["space.lr=0:1", "at=frist"], "at=frist is none of last, best, area"),
        (["space.lr=0:1", "trials=0"], "trials=0 is no whole number from 1 on"), (["space.lr=0:1", "seed=-1"], "seed=-1 is no whole"),
        (["space.lr=0:1", "sampler=tp"], "did you mean 'tpe'"), (["space.lr=0:1", "prune=imp,snip"], "to choose among them: space.prune=imp,snip"),
        (["space.lr=0:1", "lr=0.1"], "both fixed (train.optimizer.lr=0.1) and searched"),
        (["space.lr=0:1", "space.train.optimizer.lr=0:2"], "stands there twice"), (["-m", "space.lr=0:1"], "-m is for lottery run"),
        (["--cfg", "job", "space.lr=0:1"], "--cfg is for lottery run"), (["space.replicate=0,1"], "replicate is nothing that validation can choose"),
        (["space.seed=0,1"], "replicate is nothing"), (["space.levels=int:1:3"], "levels is nothing"), (["space.host.threads=1,2"], "host.threads is nothing"),
    ],
)  # fmt: skip
def test_words_that_make_no_search(words, said):
    with pytest.raises(UsageError, match="^search: ") as caught:
        asked([*NET, *words])
    assert said in str(caught.value)
