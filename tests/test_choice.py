"""Words name runs: ids, names, paths, filters; unclear ones list what is near."""

import pytest

from lottery.commands import selection
from lottery.errors import UsageError
from lottery.looking import choice


@pytest.fixture
def outputs(fabricate, tmp_path):
    for k in (0, 1, 10):
        fabricate(ident="27bf000000", replicate=k)
    fabricate(
        ident="4098000000",
        choices={"rewind": "step"},
        config={"rewind": {"name": "step", "to": "2ep"}},
    )
    fabricate(
        "lenet_300_100_digits_random", "39d9000000", choices={"prune": "random"},
        config={"train.batch_size": 64, "model.hidden": [100, 50], "train.clip": None},
    )  # fmt: skip
    fabricate(
        "mine", "5e10000000", record={"state": "failed"}, test=(0.9,), choices={"model": "resnet20"}
    )
    (tmp_path / "outputs" / "store" / "a" / "replicate_0").mkdir(parents=True)
    return tmp_path / "outputs"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", "27bf/0 27bf/1 27bf/10 4098/0 39d9/0 5e10/0"),
        ("27bf", "27bf/0 27bf/1 27bf/10"),
        ("27bf000000/replicate_1", "27bf/1"),
        ("lenet_300_100_digits_imp", "27bf/0 27bf/1 27bf/10 4098/0"),
        ("lenet_300_100_digits_imp/4098000000", "4098/0"),
        ("lenet_300_100_digits_imp/27bf000000/replicate_10", "27bf/10"),
        ("mine 4098", "5e10/0 4098/0"),  # the order of the words
        ("4098 lenet_300_100_digits_imp", "4098/0 27bf/0 27bf/1 27bf/10"),  # each once
        ("random", "39d9/0"),  # a part of a name
        ("*_imp", "27bf/0 27bf/1 27bf/10 4098/0"),
        ("prune=random", "39d9/0"),
        ("method=random,imp replicate=0", "27bf/0 4098/0 39d9/0 5e10/0"),
        ("rewind=step", "4098/0"),
        ("rewind.to=2ep", "4098/0"),
        ("train.batch_size=64", "39d9/0"),
        ("train.batch_size=64.0", "39d9/0"),
        ("model.hidden=[100,50]", "39d9/0"),
        ("model.hidden=[1,2],[100,50]", "39d9/0"),
        ("train.clip=null", "39d9/0"),
        ("model=resnet*", "5e10/0"),
        ("schedule=geometric state=failed", "5e10/0"),
        ("27bf replicate=10", "27bf/10"),
        ("levels=0", "5e10/0"),
        ("test=0.9", "5e10/0"),
    ],
)  # fmt: skip
def test_words_name_runs(outputs, words, found):
    chosen = choice.choose(outputs, words.split())
    assert [
        f"{f.parent.name[:4]}/{f.name.removeprefix('replicate_')}" for f in chosen
    ] == found.split()
    assert all(f.is_absolute() for f in chosen)


def test_paths_of_runs_configs_and_names(outputs, monkeypatch):
    monkeypatch.chdir(outputs)
    run = outputs / "lenet_300_100_digits_imp" / "27bf000000" / "replicate_1"
    assert choice.choose(outputs, [str(run)]) == (run,)
    assert choice.choose(outputs / "nowhere", [str(run)]) == (run,)
    assert len(choice.choose(outputs, [f"{run.parent}/"])) == 3
    assert len(choice.choose(outputs, [str(run.parent.parent.relative_to(outputs))])) == 4
    assert len(choice.choose(outputs, ["../outputs/mine"])) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lenett", ["ls: 'lenett' names no run; near ones: ", "27bf000000"]),
        ("27ff", ["'27ff' names no run"]),
        ("000000", ["'000000' names no run"]),  # the middle of an id is none of its starts
        ("27bf/replicate_7", ["'27bf/replicate_7' names no run", "27bf000000/replicate_10"]),
        ("prune=randm", ["ls: no run with prune=randm; prune is imp, random"]),
        ("prun=imp", ["no run has 'prun'; did you mean 'prune'?"]),
        ("train.batchsize=3", ["no run has 'train.batchsize'; did you mean 'train.batch_size'?"]),
        ("27bf state=failed", ["no run with state=failed; state is done"]),
        ("state=", ["no run with state=; state is done, failed"]),
    ],
)
def test_what_names_nothing_lists_the_near_ones(outputs, words, said):
    with pytest.raises(UsageError) as error:
        choice.choose(outputs, words.split(), "ls")
    for text in said:
        assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_one_run_or_an_error_that_lists_several(outputs):
    assert choice.one(outputs, "mine", "tail").parent.name == "5e10000000"
    assert choice.one(outputs, ["imp", "rewind=step"], "show").parent.name == "4098000000"
    with pytest.raises(
        UsageError, match=r"^tail: '27bf' names several runs; there are: 27bf000000/"
    ):
        choice.one(outputs, "27bf", "tail")
    with pytest.raises(UsageError, match="there are no runs under .*; start one: lottery run"):
        choice.one(outputs / "none", "x", "show")
    with pytest.raises(UsageError, match="there are no runs under"):
        choice.one(outputs / "none", "state=done", "show")


def test_the_replicates_of_one_config(outputs):
    assert len(choice.replicates(outputs, "27bf", "branch")) == 3
    with pytest.raises(UsageError, match="branch: 'imp' names several runs"):
        choice.replicates(outputs, "imp", "branch")


def test_many_runs_are_listed_as_configs_and_not_all(fabricate, tmp_path):
    for number in range(10):
        fabricate("many", f"{number}aaaaaaaaa")
    with pytest.raises(UsageError) as error:
        choice.one(tmp_path / "outputs", "many")
    assert str(error.value).endswith("7aaaaaaaaa (many); and 2 more (lottery ls)")


def test_a_name_that_a_terminal_would_obey_is_spelled_out(fabricate, tmp_path):
    fabricate("\x1b[31mred", "aaaaaaaaaa")
    with pytest.raises(UsageError) as error:
        choice.choose(tmp_path / "outputs", ["aaaaaaaaab"])
    assert "\x1b" not in str(error.value)
    assert "x1b[31mred" in str(error.value)


def test_damaged_runs_are_named_too(fabricate, tmp_path):
    folder = fabricate(ident="27bf000000")
    (folder / "run.json").write_text("no json")
    (folder / "config.yaml").write_text("a: &a [1]\nb: *a\n")
    odd = fabricate(ident="37bf000000")
    (odd / "config.yaml").write_text("[" * 1000)
    outputs = tmp_path / "outputs"
    assert choice.choose(outputs, ["state=damaged"]) == (folder,)
    assert choice.choose(outputs, ["prune=?"]) == (folder,)
    with pytest.raises(UsageError, match="no run has 'train.batch_size'"):
        choice.choose(outputs, ["train.batch_size=96"])


def test_a_record_of_another_version_without_options(fabricate, tmp_path):
    """The components stand in for the options."""
    fabricate(record={"choices": {}})
    outputs = tmp_path / "outputs"
    assert len(choice.choose(outputs, ["prune=magnitude", "model=lenet", "rewind=init"])) == 1


def test_filters_stay_among_the_words_and_typos_of_options_do_not():
    known = {"format": "table", "outputs": "outputs", "level": ""}
    words, chosen = selection(
        ["a", "prune=imp", "format=csv", "train.lr.end=0", "levels=3"], "", known
    )
    assert words == ["a", "prune=imp", "train.lr.end=0", "levels=3"]
    assert chosen["format"] == "csv"
    for odd in ("formt=csv", "outptus=x", "--json", "a b=c", "=x"):
        with pytest.raises(UsageError, match="there is no option"):
            selection([odd], "", known)


def test_a_name_comes_before_the_start_of_an_id(fabricate, tmp_path):
    fabricate("27bf", "1111111111")
    fabricate("other", "27bf000000")
    outputs = tmp_path / "outputs"
    assert [f.parent.parent.name for f in choice.choose(outputs, ["27bf"])] == ["27bf"]
    assert [f.parent.parent.name for f in choice.choose(outputs, ["27bf0"])] == ["other"]


def test_what_is_offered_can_be_typed_where_two_names_share_an_id(fabricate, tmp_path):
    for name in ("one", "two"):
        fabricate(name, "27bf000000")
    with pytest.raises(UsageError) as said:
        choice.one(tmp_path / "outputs", "27bf000000/replicate_0")
    assert "one/27bf000000/replicate_0 (one); two/27bf000000/replicate_0 (two)" in str(said.value)
    found = choice.one(tmp_path / "outputs", "two/27bf000000/replicate_0")
    assert found.parent.parent.name == "two"


def test_a_damaged_record_that_a_filter_leaves_out_is_said(fabricate, tmp_path):
    fabricate(replicate=0)
    (fabricate(replicate=1) / "run.json").write_text("{")
    with pytest.warns(UserWarning, match="replicate_1/run.json is damaged, so that nobody can"):
        assert len(choice.choose(tmp_path / "outputs", ["prune=imp"])) == 1
    assert len(choice.choose(tmp_path / "outputs", ["replicate=0"])) == 1


def test_a_folder_with_an_equals_sign_is_a_path(fabricate, tmp_path):
    folder = fabricate("lr=0.1")
    assert choice.choose(tmp_path / "outputs", [str(folder)]) == (folder,)
    assert choice.choose(tmp_path / "outputs", ["name=lr=0.1"]) == (folder,)
