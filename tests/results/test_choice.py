"""Words name runs: ids, names, paths, filters; unclear ones list what is near."""

import datetime
import os
from pathlib import Path

import pytest

from lottery.commands import selection
from lottery.errors import UsageError
from lottery.results import choice, completing, naming


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
        ("method=random,imp replicate=0", "39d9/0 27bf/0 4098/0 5e10/0"),
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
        ("levels=0/3", "5e10/0"),
        ("seconds<=5min seconds=5*min state=failed", "5e10/0"),
        ("test=0.9", "5e10/0"),
        ("test=90", "5e10/0"),  # per cent
        ("test=90.00%", "5e10/0"),
        ("test!=90% rewind=step", "4098/0"),
        ("train.batch_size>64 rewind!=step replicate<10", "27bf/0 27bf/1 5e10/0"),
        ("train.batch_size<=64", "39d9/0"),
        ("prune!=imp,random", ""),
        ("test<90.5", "5e10/0"),
        ("test<0.905", "5e10/0"),
        ("density>=1", "5e10/0"),
        ("rewind.to>=1ep", "4098/0"),
        ("rewind.to>=1it", ""),  # another unit
        ("started>2026-10 model=resnet20", "5e10/0"),
        ("started>=2026-11 started=2026-11-01 started<=2026-11-01 model=resnet20", "5e10/0"),
        ("started>2026-11", ""),  # they began in it
        ("started<2026-11-01", ""),
        ("started=2026-11-02", ""),
        ("seconds=300 seconds=5min seconds>=5MIN model=resnet20", "5e10/0"),
        ("seconds=300h", ""),
        ("density=100% density>99% test=90 model=resnet20", "5e10/0"),
        ("density=1%", ""),
        ("test>85ep", ""),
        ("replicate=10,1", "27bf/1 27bf/10"),  # the replicates of a config stay in order
        ("model=resnet20,lenet* replicate=0", "5e10/0 27bf/0 4098/0 39d9/0"),
    ],
)  # fmt: skip
def test_words_name_runs(outputs, words, found):
    if not found:
        with pytest.raises(UsageError, match="no run with "):
            choice.choose(outputs, words.split())
        return
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
        ("linen", ["'linen' names no run; there are: "]),  # less alike than in any other hint
        ("27ff", ["'27ff' names no run"]),
        ("000000", ["'000000' names no run"]),  # the middle of an id is none of its starts
        ("27bf/replicate_7", ["'27bf/replicate_7' names no run", "27bf000000/replicate_10"]),
        ("prune=randm", ["ls: no run with prune=randm; prune is imp, random"]),
        ("prun=imp", ["no run has 'prun'; did you mean 'prune'?"]),
        ("train.batchsize=3", ["no run with train.batchsize=3; train.batch_size is"]),
        ("27bf state=failed", ["no run with state=failed; state is done"]),
        ("state=", ["no run with state=; state is done, failed"]),
        ("sotr=test", ["no run has 'sotr'; did you mean 'sort'?"]),  # an option of the command
        ("train.lr=3", ["did you mean 'train.optimizer.lr'?"]),
        ("acc=3", ["did you mean 'val_accuracy' or 'test_accuracy'?"]),
        ("test>1.5x", ["'test>1.5x' compares with no number; type a number, as in 'density>0.1'"]),
        ("test>99", ["no run with test>99; test is 95.00%, 90.00%"]),
    ],
)
def test_what_names_nothing_lists_the_near_ones(outputs, words, said):
    with pytest.raises(UsageError) as error:
        choice.choose(outputs, words.split(), "ls", {"sort": "", "format": ""})
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
    with pytest.raises(UsageError, match="there is no folder .*none"):
        choice.one(outputs / "none", "x", "show")
    with pytest.raises(UsageError, match="there is no folder"):
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
    assert choice.choose(outputs, ["state=damaged"]) == (folder, odd)
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


def test_what_ls_shows_can_be_typed_back(fabricate, tmp_path):
    fabricate(ident="a0", densities=(1.0, 0.06872509960159362), test=(0.9, 0.9777777777777777))
    fabricate(ident="b0", densities=(1.0, 0.512), test=(0.9, 0.95))

    def found(word):
        return [f.parent.name for f in choice.choose(tmp_path / "outputs", [word])]

    for word in ("density=0.06873", "density=0.0687", "density=0.06872509960159362", "test=97.78",
                 "test=97.8", "test=0.978", "test=97.78%"):  # fmt: skip
        assert found(word) == ["a0"], word
    for word in ("density=0.06872", "density=0.5", "test=97.77", "test=0.97"):
        with pytest.raises(UsageError, match=r"density is 0.06873, 0.512|test is 97.78%, 95.00%"):
            found(word)


def test_an_accuracy_below_a_hundredth_can_be_typed_back(fabricate, tmp_path):
    """Of 200 classes guessing finds 0.5 %, which ls shows as 0.50."""
    folder = fabricate(test=(0.9, 0.005))
    fabricate(ident="bbbbbbbbbb", test=(0.9, 0.006))
    for word in ("test=0.50", "test=0.005", "test=0.5%"):
        assert choice.choose(tmp_path / "outputs", [word]) == (folder,)


def test_an_age_can_be_typed_back(fabricate, tmp_path):
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=30)
    folder = fabricate(record={"started": then.isoformat()})
    outputs = tmp_path / "outputs"
    for word in ("age=1d", "age=1 d", "age<2D", "age>20h"):
        assert choice.choose(outputs, [word]) == (folder,), word
    with pytest.raises(UsageError, match="no run with age=3h; age is 1d$"):
        choice.choose(outputs, ["age=3h"])
    assert "age=1d" in completing.complete([], "age=", [f"outputs={outputs}"])


def test_a_run_has_one_path_however_its_outputs_are_named(fabricate, tmp_path, monkeypatch):
    folder = fabricate("mine")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    far = Path("../outputs")
    assert choice.choose(far, ["mine", "../outputs/mine/aaaaaaaaaa", str(folder)]) == (folder,)
    assert choice.choose(far, ["state=done"]) == choice.choose(far, []) == (folder,)


def test_ids_that_look_like_numbers_are_words(fabricate, tmp_path):
    fabricate(ident="12e4567890")
    folder = fabricate(ident="13e4567890")  # both are beyond any number
    assert choice.choose(tmp_path / "outputs", ["id=13e4567890"]) == (folder,)


def test_runs_stand_in_the_order_of_the_settings_that_differ(fabricate, tmp_path):
    """Ids are hashes: they would put 0.05 first."""
    for ident, lr, length in (("1", 0.05, "9ep"), ("2", 0.005, "12ep"), ("3", 0.1, "9ep"),
                              ("4", 0.005, "9ep")):  # fmt: skip
        fabricate(ident=ident * 10, config={"train.optimizer.lr": lr, "train.length": length})
    fabricate("b10", "5" * 10)
    fabricate("b9", "6" * 10)
    outputs = tmp_path / "outputs"

    def ids(*words):
        return "".join(f.parent.name[0] for f in choice.choose(outputs, words))

    assert ids() == "654132"  # the length comes before the rate in a config
    assert ids("3333", "lenet") == "3412"
    assert ids("train.optimizer.lr=0.05,0.005") == "142"
    assert ids("train.optimizer.lr>0.01", "name=lenet*") == "13"


def test_a_name_that_looks_like_a_filter_or_an_option_is_a_name(fabricate, tmp_path):
    outputs = tmp_path / "outputs"
    for name in ("a=b", "-x"):
        folder = fabricate(name)
        for word in (name, f"{name}/aaaaaaaaaa", f"{name}/aaaaaaaaaa/replicate_0"):
            words, _ = selection([word, f"outputs={outputs}"], "", {"outputs": "outputs"})
            assert choice.choose(outputs, words) == (folder,)
    with pytest.raises(UsageError, match="there is no option '-y' here"):
        selection(["-y", f"outputs={outputs}"], "", {"outputs": "outputs"})


def test_a_path_below_a_folder_with_any_sign_is_one(fabricate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = fabricate("lr=0.1")
    (tmp_path / "outputs").rename(tmp_path / "my-x%")
    (word,), _ = selection([str(folder).replace("outputs", "my-x%")], "", {})
    assert choice.choose(tmp_path / "my-x%", [word])[0].parent.parent.name == "lr=0.1"


def test_a_word_longer_than_a_name_may_be_names_no_run(outputs):
    for word in ("x" * 300, f"a={'x' * 300}", "x/" * 3000):
        with pytest.raises(UsageError, match="names no run|no run has 'a'"):
            choice.choose(outputs, [word])


def test_a_folder_that_may_not_be_read_is_left_out_with_a_warning(outputs, monkeypatch):
    real = os.listdir

    def listdir(place):
        if place == outputs / "mine":
            raise PermissionError(13, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.warns(UserWarning, match="mine is left out: Permission denied"):
        assert len(choice.choose(outputs, ["model!=resnet20"])) == 5
    monkeypatch.undo()
    known = os.stat

    def stat(place, *more, **options):
        if str(place).endswith("replicate_10/run.json"):
            raise PermissionError(13, "Permission denied", str(place))
        return known(place, *more, **options)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.warns(UserWarning, match="replicate_10 is left out: Permission denied"):
        assert len(choice.choose(outputs, [])) == 5


def test_an_outputs_folder_that_is_not_there_is_no_empty_one(outputs, monkeypatch):
    monkeypatch.chdir(outputs.parent)
    with pytest.raises(UsageError, match=r"^ls: there is no folder outptus; did you mean 'outputs'"):
        choice.choose(Path("outptus"), [], "ls")
    (outputs.parent / "empty").mkdir()
    assert choice.choose(Path("empty"), [], "ls") == ()
    assert naming.none_there(Path("empty")).endswith("start one: lottery run outputs=empty")


def test_a_folder_with_an_equals_sign_is_a_path(fabricate, tmp_path):
    folder = fabricate("lr=0.1")
    assert choice.choose(tmp_path / "outputs", [str(folder)]) == (folder,)
    assert choice.choose(tmp_path / "outputs", ["name=lr=0.1"]) == (folder,)


def test_words_are_completed_by_what_there_is(outputs):
    def found(start, *words):
        return completing.complete(["sort", "format", "outputs"], start, [f"outputs={outputs}", *words])

    assert found("so") == ["sort="]
    assert found("mi") == ["mine"]
    assert found("27") == ["27bf000000"]
    assert found("prune=") == ["prune=imp", "prune=random"]
    assert found("prune=imp,r") == ["prune=imp,random"]
    assert found("rewind=") == ["rewind=init", "rewind=step"]  # "step 2ep" would be two words
    assert found("columns=id,dens") == ["columns=id,density"]
    assert found("format=") == []
    assert found("train.batch_size=") == ["train.batch_size=96", "train.batch_size=64"]
    assert completing.complete([], "x", []) == []


def test_filters_know_the_words_of_other_tools(fabricate, tmp_path):
    folders = [
        fabricate(ident=letter * 10, config={"train.optimizer.lr": lr, "train.length": length})
        for letter, lr, length in (("a", 0.1, "15ep"), ("b", 0.01, "1.5ep"))
    ]
    outputs = tmp_path / "outputs"
    for words, found in (
        (["lr=0.1"], folders[:1]),
        (["learning_rate<0.05"], folders[1:]),
        (["epochs=15"], folders[:1]),
        (["epochs=1.5ep"], folders[1:]),
        (["seed=0"], folders),
        (["model=LeNet-300-100"], folders),
    ):
        assert sorted(choice.choose(outputs, words)) == sorted(found), words
    for word in ("lr=0.2", "epochs=150", "seed=1"):
        with pytest.raises(UsageError, match="no run with"):
            choice.choose(outputs, [word])


@pytest.mark.parametrize(("word", "found"), [
    ("perplexity<10", ["aaaa000000"]), ("test_perplexity<10", ["aaaa000000"]), ("val_perplexity>=10", ["bbbb000000"]),
    ("test<10", ["aaaa000000"]), ("accuracy>0.9", ["cccc000000"]), ("test_accuracy>90", ["cccc000000"]),
    ("loss<1", ["aaaa000000"]), ("test_loss>1", ["bbbb000000"]), ("train_loss=0.5", ["aaaa000000"]),
])  # fmt: skip
def test_a_run_is_found_by_any_metric_that_it_has(fabricate, tmp_path, word, found):
    measured = {"metrics": [{"name": "perplexity", "better": "lower", "mean": "log"}]}
    fabricate(ident="aaaa000000", test=(8.0,), metric="perplexity", record=measured, test_loss=[0.7], train_loss=[0.5])
    fabricate(ident="bbbb000000", test=(30.0,), metric="perplexity", record=measured, test_loss=[3.4])
    fabricate(ident="cccc000000", test=(0.97,))
    assert [folder.parent.name for folder in choice.choose(tmp_path / "outputs", [word])] == found
    with pytest.raises(UsageError, match="no run has 'bleu'"):
        choice.choose(tmp_path / "outputs", ["bleu>3"])


def test_a_content_is_shown_and_found_by_its_first_digits(fabricate, tmp_path, monkeypatch, lottery, capsys):
    sha = "0123456789abcdef" * 4
    start = {"name": "pretrained", "path": "a.safetensors", "sha256": sha}
    fabricate(ident="aaaa000000", config={"start": start})
    fabricate(ident="bbbb000000", config={"start": {**start, "sha256": "f" * 64}})
    assert lottery("ls", "columns=id,start.sha256") == 0
    out = capsys.readouterr().out
    assert "01234567\n" in out.replace(" ", "") and sha not in out and "ffffffff" in out
    assert lottery("ls", "start.sha256=01234567", "columns=id") == 0
    assert "bbbb" not in capsys.readouterr().out
    assert lottery("ls", "start.sha256=0123456", "columns=id") == 2  # fewer digits name none
    assert lottery("compare") == 0
    out = capsys.readouterr().out
    assert "01234567" in out and sha not in out
