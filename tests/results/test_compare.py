"""`lottery compare`: settings that differ, intervals, paired tests, verdicts, common densities."""

import csv
import io
import json
import math
import subprocess
import sys

import pytest
from scipy import stats as oracle

import lottery as package
from lottery.results import comparison, formats, stats
from lottery.results.facts import Facts
from lottery.results.labels import labels
from lottery.results.plotting.material import Material
from lottery.results.reports import gather

RANDOM = {
    "choices": {"prune": "random"},
    "config": {"prune.criterion": {"name": "random"}, "prune.at": "0it"},
}


@pytest.fixture
def compare(lottery, capsys):
    """Return what `lottery compare` prints."""

    def call(*words, code=0):
        capsys.readouterr()
        assert lottery("compare", *words) == code
        out, err = capsys.readouterr()
        return err if code else out

    return call


@pytest.fixture
def two(fabricate):
    """Two configs of three replicates; literal accuracies at density 1, 0.8, 0.64, 0.512."""
    a = [(0.95, 0.97, 0.9510, 0.90), (0.96, 0.98, 0.9605, 0.95), (0.97, 0.991, 0.9699, 0.97)]
    b = [(0.95, 0.96, 0.91), (0.96, 0.975, 0.93), (0.97, 0.985, 0.93)]
    for k in range(3):
        fabricate(ident="aaaaaaaaaa", replicate=k, test=a[k])
        fabricate("lenet_300_100_digits_random", "bbbbbbbbbb", replicate=k, test=b[k], **RANDOM)
    return a, b


def test_the_numbers_are_those_of_scipy(two, compare):
    a, b = two
    rows = list(csv.DictReader(io.StringIO(compare("aaaa", "bbbb", "format=csv"))))
    assert [(row["run"], row["level"]) for row in rows] == [
        ("A", "0"), ("B", "0"), ("A", "1"), ("B", "1"), ("A", "2"), ("B", "2")
    ]  # fmt: skip
    ours = rows[5]
    values, dense, others = ([r[i] for r in t] for t, i in ((b, 2), (b, 0), (a, 2)))
    mean = sum(values) / 3
    reach = oracle.t.ppf(0.975, 2) * oracle.sem(values)
    assert float(ours["mean"]) == pytest.approx(mean)
    assert float(ours["high"]) - mean == pytest.approx(reach)
    change = oracle.ttest_rel(values, dense)
    ends = change.confidence_interval(0.95)
    assert float(ours["dense_low"]) == pytest.approx(ends.low)
    assert float(ours["dense_high"]) == pytest.approx(ends.high)
    paired = oracle.ttest_rel(values, others)
    assert float(ours["p"]) == pytest.approx(paired.pvalue)
    assert float(ours["difference"]) == pytest.approx(mean - sum(others) / 3)
    assert (ours["pairs"], ours["replicates"], ours["against"]) == ("3", "3", "A")
    assert rows[0]["p"] == rows[0]["difference"] == ""


def test_verdicts_with_literal_numbers(two, compare):
    """Changes to dense of A: +2.0 2.0 2.1, then +0.10 +0.05 -0.01; of B the last: -4 -3 -4."""
    rows = json.loads(compare("aaaa", "bbbb", "format=json"))["rows"]
    found = {(row["run"], row["level"]): row["verdict"] for row in rows}
    assert found["A", 1] == stats.BEATS
    assert found["A", 2] == stats.MATCHES
    assert found["B", 2] == stats.FALLS
    assert found["A", 0] == found["B", 0] == ""
    (alone,) = (r for r in json.loads(compare("aaaa", "format=json"))["rows"] if r["level"] == 3)
    assert alone["dense_difference"] == pytest.approx((-0.05 - 0.01 + 0.0) / 3)
    assert alone["verdict"] == stats.UNCLEAR
    rows = json.loads(compare("aaaa", "bbbb", "format=json", "tolerance=0.2"))["rows"]
    assert {row["verdict"] for row in rows if row["level"]} == {stats.MATCHES}


def test_what_is_printed(two, compare):
    text = compare("aaaa", "bbbb")
    lines = [line.split() for line in text.splitlines()]
    assert "A aaaaaaaaaa lenet_300_100 digits imp init 3 3/3".split() in lines
    assert "prune.criterion.name magnitude random".split() in lines
    assert "prune.at end 0it".split() in lines
    assert "train.batch_size" not in text
    assert "95.00 ± 2.48 (n=3)" not in text
    assert "96.00 ± 2.48 (n=3)" in text  # 95, 96, 97: 4.303 * 1 / sqrt(3)
    assert "-3.67 (-5.10 to -2.23)" in text
    assert "p: paired t-test over replicates, two-sided" in text
    assert (
        "  correction     Holm over 2 of 3 levels of A, 2 levels of B, changes to A over 3 levels of B"
        in text
    )
    assert "tolerance      0.5 points" in text
    assert "(all differences the same)" in text  # the dense levels
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert max(map(len, text.splitlines())) <= 120
    marked = compare("aaaa", "bbbb", "format=markdown")
    assert "| 0.64 | B | 92.33 ± 2.87 (n=3) | -3.67 (-5.10 to -2.23) | falls below |" in marked


def test_against_another_than_the_first(two, compare, fabricate):
    rows = json.loads(compare("aaaa", "bbbb", "against=bbbb", "format=json"))["rows"]
    assert {row["against"] for row in rows} == {"B"}
    assert [r["difference"] for r in rows if r["run"] == "B"] == [None] * 3
    assert "change to B" in compare("against=random")
    text = compare("aaaa", "against=bbbb")  # one that is not among them is put first
    assert "A    bbbbbbbbbb" in text
    assert "'lenet' names several runs" in compare("aaaa", "against=lenet", code=2)


def test_pairs_are_replicates_and_not_places(two, compare, fabricate, tmp_path):
    """Replicate 0 of B is gone: its 1 and 2 stand beside A's 1 and 2."""
    for path in sorted((tmp_path / "outputs").glob("*/bbbbbbbbbb/replicate_0/*")):
        path.unlink()
    rows = json.loads(compare("aaaa", "bbbb", "format=json"))["rows"]
    (row,) = (r for r in rows if (r["run"], r["level"]) == ("B", 1))
    assert (row["replicates"], row["pairs"], row["verdict"]) == (2, 2, "(2 replicates)")
    assert row["difference"] == pytest.approx((-0.005 - 0.006) / 2)
    rows = json.loads(compare("bbbb", "aaaa", "format=json"))["rows"]
    (row,) = (r for r in rows if (r["run"], r["level"]) == ("B", 1))
    assert (row["replicates"], row["pairs"]) == (3, 2)
    assert "n=2" in compare("bbbb", "aaaa")


def test_without_a_common_replicate_there_is_no_test(two, compare):
    text = compare("aaaa/replicate_0", "bbbb/replicate_1")
    assert "note: B and A have no replicate in common" in text
    rows = json.loads(compare("aaaa/replicate_0", "bbbb/replicate_1", "format=json"))["rows"]
    assert {(row["pairs"], row["p"]) for row in rows} == {(0, None)}
    assert "no replicate in common" not in compare("aaaa", "bbbb")


def test_settings_that_are_null_and_that_are_not_there(fabricate, compare):
    fabricate(ident="a0", config={"train.clip": None, "model.width": 3})
    fabricate(ident="b0", config={"train.clip": 1.0})
    fabricate(ident="c0", config={"model.depth": 2})
    lines = [line.split() for line in compare().splitlines()]
    assert ["train.clip", "1", "-", "null"] in lines
    keys = [line[0] for line in lines if line and "." in line[0] and line[0][0].isalpha()]
    assert keys == ["model.depth", "model.width", "train.clip"]  # A is b0, B c0, C a0
    settings = json.loads(compare("format=json"))["settings"]
    assert settings["train.clip"] == {"A": 1, "B": None, "C": None}


def test_one_replicate_has_no_interval(fabricate, compare):
    fabricate(test=(0.9, 0.95))
    text = compare("aaaa")
    assert "95.00 (n=1)" in text
    assert "(1 replicate)" in text
    assert "±" not in text
    assert "p:" not in text


def test_densities_near_each_other_are_common_and_no_level_is_lost(fabricate, tmp_path):
    first = fabricate(ident="a0", densities=(1, 0.5, 0.2, 0.1), test=(0.9,) * 4)
    second = fabricate(ident="b0", densities=(1, 0.505, 0.21, 0.101), test=(0.8,) * 4)
    third = fabricate(ident="c0", densities=(1, 0.3, 0.21, 0.0995), test=(0.8,) * 4)
    close = fabricate(ident="d0", densities=(1, 0.5, 0.495, 0.49), test=(0.8,) * 4)

    def levels(*folders, first=0):
        return comparison.common(comparison.groups(folders), first)

    assert levels(first, second) == [{0: 0, 1: 0}, {0: 1, 1: 1}, {0: 3, 1: 3}]
    assert levels(first, second, third) == [
        {0: 0, 1: 0, 2: 0}, {0: 1, 1: 1}, {1: 2, 2: 2}, {0: 3, 1: 3, 2: 3}
    ]  # fmt: skip
    assert levels(second, third, first=1) == [{0: 0, 1: 0}, {0: 2, 1: 2}, {0: 3, 1: 3}]
    assert levels(close) == [{0: 0}, {0: 1}, {0: 2}, {0: 3}]
    assert levels(first, close) == [{0: 0, 1: 0}, {0: 1, 1: 1}]


def test_no_common_density_is_one_line(fabricate, compare):
    fabricate(ident="a0", densities=(0.9, 0.5), test=(0.9, 0.9))
    fabricate(ident="b0", densities=(0.8, 0.4), test=(0.9, 0.9))
    said = compare(code=2)
    assert said == (
        "lottery: compare: these runs have no density in common (a0: 0.9, 0.5; b0: 0.8, 0.4); "
        "type every=true to see each by itself, or near=0.1 to take for one what differs by 10 %\n"
    )


def test_densities_that_do_not_meet_are_said_or_shown(fabricate, compare, lottery, capsys):
    """Dense nets meet; 0.5 and 0.512 do not within 2 %."""
    fabricate(ident="a0", densities=(1, 0.5, 0.2), test=(0.9, 0.8, 0.7))
    fabricate(
        ident="b0", densities=(1, 0.512, 0.1), test=(0.9, 0.8, 0.7), choices={"prune": "snip"}
    )
    text = compare()
    assert "note: left out, as no other run is within 2 %: A at 0.5, 0.2; B at 0.512, 0.1 (" in text
    assert "left out" in json.loads(compare("format=json"))["notes"][0]
    assert lottery("compare", "format=csv") == 0
    out, err = capsys.readouterr()
    assert err.startswith("note: left out") and "left out" not in out

    def shown(*words):
        rows = json.loads(compare("format=json", *words))["rows"]
        return [(row["run"], row["density"]) for row in rows]

    dense = [("A", 1), ("B", 1)]
    assert shown() == dense
    assert shown("near=0.03") == [*dense, ("A", 0.5), ("B", 0.512)]
    apart = [("B", 0.512), ("A", 0.5), ("A", 0.2), ("B", 0.1)]
    assert shown("every=true") == [*dense, *apart]
    assert "left out" not in compare("every=true")
    assert "in % at each density\n" in compare("every=true")
    assert "near=two is no share of 1" in compare("near=two", code=2)
    assert "every=ture is none of true, false; did you mean 'true'?" in compare(
        "every=ture", code=2
    )


def test_groups_stand_in_the_order_typed(two, compare):
    for words in (["prune=random,imp"], ["bbbb", "aaaa"]):
        runs = json.loads(compare(*words, "format=json"))["runs"]
        assert [runs[label]["id"][0] for label in "AB"] == ["b", "a"]
    assert json.loads(compare("format=json"))["runs"]["A"]["id"][0] == "a"


def test_steps_and_counts_stand_in_plain_digits(fabricate, compare):
    for k, (step, kept) in enumerate(((80, 45_900.0), (120, 45_800.0), (163, 45_970.0))):
        fabricate(ident="a0", replicate=k, best_step=(168, step, step, 1), macs=(3e6, kept, 1, 1))
    text = compare("metric=best_step")
    assert "121 ± 103 (n=3)" in text
    assert "-47 (-150 to +56)" in text
    assert "45,890 ± 212 (n=3)" in compare("metric=macs")
    assert [formats.numeral(v) for v in (0.0, 0.5, 12345.6, 1 / 3, 1e-7, -2.0)] == [
        "0", "0.5", "12,346", "0.3333", "1e-07", "-2"
    ]  # fmt: skip


@pytest.mark.parametrize("metric", ["test_loss", "best_step"])
def test_one_replicate_is_compared_by_any_metric(fabricate, compare, metric):
    fabricate(ident="a0", test_loss=(0.2, 0.3, 0.4, 0.5), best_step=(100, 90, 80, 70))
    fabricate(ident="b0", test_loss=(0.1, 0.2, 0.3, 0.4), best_step=(110, 95, 85, 75))
    assert ("+0.1" if metric == "test_loss" else "+10") in compare(f"metric={metric}")


def test_markdown_and_latex_are_read_by_what_reads_them(two, compare):
    marked = compare("aaaa", "bbbb", "format=markdown")
    assert "\n\n**settings that differ**\n\n| setting | A | B |\n| --- |" in marked
    code = marked.split("```")
    assert code[1].startswith("text\nnote: left out") and "\n  beats dense    the" in code[1]
    assert not code[2].strip()
    tex = compare("aaaa", "bbbb", "format=latex").splitlines()
    changes = r"$-$3.67 ($-$5.10 to $-$2.23) & falls below & "
    assert rf"0.64 & B & 92.33 $\pm$ 2.87 (n=3) & {changes}" in "\n".join(tex)
    inside = [line for line in tex if line and not line.startswith("%")]
    assert {line[0] for line in inside if not line.endswith(r"\\")} == {"\\"}


def test_other_data_is_said(fabricate, compare):
    fabricate(ident="a0")
    fabricate(ident="b0", record={"data": "d2"}, config={"dataset.validation": 100})
    assert "note: these runs were trained on different data" in compare()
    assert "different data" in json.loads(compare("format=json"))["notes"][0]


def test_metrics(fabricate, compare):
    for k in range(3):
        fabricate(ident="a0", replicate=k, seconds=(1.5, 1.5 + k, 1.0, 1.0), test_loss=(0.5,) * 4)
    text = compare("metric=test_loss")
    assert "test loss at each density" in text
    assert "0.5 ± 0 (n=3)" in text
    assert "beats" not in text
    assert "2.5 ± 2.5 (n=3)" in compare("metric=seconds")
    assert "did you mean 'seconds'?" in compare("metric=secnods", code=2)
    assert "metric=tset_accuracy; did you mean 'test_accuracy'?" in compare(
        "metric=tset_accuracy", code=2
    )


def test_only_a_sparse_level_is_judged_and_only_against_a_dense_one(fabricate, tmp_path):
    for k in range(3):
        own = {"replicate": k, "test": (0.97, 0.96, 0.95 + k / 1000)}
        fabricate(ident="aaaaaaaaaa", densities=(1.0, 1.0, 0.5), **own)
        fabricate(ident="bbbbbbbbbb", densities=(0.9, 0.8, 0.5), **own)
    for folder in (tmp_path / "outputs").glob("*/*"):
        (group,) = comparison.groups(sorted(folder.glob("replicate_*")))
        found = comparison.reached(group, [0, 1, 2], "test_accuracy", 0.005)
        assert [row["verdict"] for row in found.values()] == [
            "", "", "falls below" if folder.name[0] == "a" else ""
        ]  # fmt: skip


def test_no_validation_split_is_said(fabricate, compare):
    fabricate(val_accuracy=(math.nan,) * 3)
    said = compare("metric=val_accuracy", code=2)
    assert "there is no validation split (dataset.validation=0)" in said


def test_accuracies_that_are_not_there(fabricate, compare):
    fabricate(ident="a0", test_accuracy=(None,) * 4)
    assert compare(code=2) == (
        "lottery: compare: no run has a number of metric=test_accuracy; type metric=val_accuracy\n"
    )
    assert "95.00 (n=1)" in compare("metric=val_accuracy")
    for k, accuracy in enumerate((0.9, math.nan, 0.92)):
        fabricate(ident="b0", replicate=k, test=(0.9, accuracy))
    rows = json.loads(compare("b0", "format=json"))["rows"]
    assert [row["replicates"] for row in rows] == [3, 2]
    assert rows[1]["mean"] == pytest.approx(0.91)
    assert rows[1]["verdict"] == "(2 replicates)"


def test_damaged_runs_are_left_out_and_named(two, compare, tmp_path):
    table = tmp_path / "outputs/lenet_300_100_digits_imp/aaaaaaaaaa/replicate_1/metrics.csv"
    table.write_text(table.read_text() + "9")
    text = compare("aaaa", "bbbb")
    assert "replicate_1 is left out: " in text
    assert "(n=2)" in text
    for path in tmp_path.glob("outputs/*/aaaaaaaaaa/*/metrics.csv"):
        path.write_text("")
    assert "nothing to compare" in compare("aaaa", code=2)


def test_bad_words(fabricate, compare):
    assert "there are no runs under outputs; start one" in compare(code=2)
    fabricate()
    fabricate(ident="bbbbbbbbbb", test=())
    for word in ("much", "-1", "nan", "1"):
        assert f"tolerance={word} is no share" in compare("aaaa", f"tolerance={word}", code=2)
    assert "format=xml is none of" in compare("format=xml", code=2)
    assert "names no run" in compare("zzz", code=2)
    assert "nothing to compare: none has finished a level" in compare("bbbb", code=2)
    assert "no density in common (aaaaaaaaaa: 1, 0.8, 0.64; bbbbbbbbbb: none yet)" in compare(
        code=2
    )


def test_many_configs_have_a_line_each(fabricate, compare):
    for number in range(30):
        fabricate(ident=f"{number:02d}aaaaaaaa", config={"train.batch_size": number})
    lines = compare().splitlines()
    assert "AD 29aaaaaaaa lenet_300_100 digits imp init 1 2/3".split() in [x.split() for x in lines]
    assert "AD   29" in lines  # of the settings that differ
    assert comparison.letters(25) == "Z"
    assert comparison.letters(26) == "AA"
    assert comparison.letters(702) == "AAA"


HEAVY = """
import sys
from lottery.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "torchvision", "hydra", "omegaconf", "pandas", "matplotlib"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


def test_compare_and_show_answer_without_anything_heavy(two, tmp_path):
    for line, heavy in (("compare aaaa bbbb", HEAVY), ("compare --help", HEAVY), ("show --help", HEAVY),
                        ("show aaaa replicate=1", HEAVY.replace('"pandas", ', ""))):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", heavy, *line.split()],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_p_is_corrected_over_the_levels_that_are_shown(two, compare, fabricate):
    """A has three pruned levels, of which B has two: fewer make a smaller family, and it is said."""

    def rows(*words):
        found = json.loads(compare(*words, "format=json"))
        return {(r["run"], r["level"]): r for r in found["rows"]}

    alone, beside = rows("aaaa")["A", 1], rows("aaaa", "bbbb")["A", 1]
    assert (alone["dense_family"], beside["dense_family"]) == (3, 2)
    assert alone["dense_p"] == beside["dense_p"]
    assert alone["dense_p_adjusted"] == pytest.approx(3 * alone["dense_p"])
    assert beside["dense_p_adjusted"] == pytest.approx(2 * alone["dense_p"])
    assert rows("aaaa", "bbbb", "every=true")["A", 1]["dense_family"] == 3
    single = rows("aaaa", "bbbb", "correction=none")
    assert single["A", 1]["dense_p_adjusted"] == single["A", 1]["dense_p"]
    assert single["B", 2]["p_adjusted"] == single["B", 2]["p"]
    assert "each level for itself" in compare("aaaa", "correction=none")
    assert "correction=bonferroni is none of holm, none" in compare(
        "aaaa", "correction=bonferroni", code=2
    )
    for k in range(3):  # what many levels show by chance alone: p = 0.02, of eight
        steps = (0.02, 0.03, 0.04)
        fabricate(ident="cccccccccc", replicate=k, densities=tuple(0.8**n for n in range(9)),
                  test=(0.9, 0.9 + steps[k], *(0.9 + (k - 1) * (-1) ** n / 50 for n in range(7))))  # fmt: skip
    assert rows("cccc")["A", 1]["verdict"] == stats.MATCHES
    assert rows("cccc", "correction=none")["A", 1]["verdict"] == stats.BEATS
    assert "Holm over 8 levels" in compare("cccc")


def test_differences_that_are_all_the_same_are_no_verdict(fabricate, compare):
    for k in range(3):
        fabricate(replicate=k, test=(0.9 + k / 100, 0.95 + k / 100, 0.7 + k / 50))
    text = compare()
    assert text.count(stats.SAME) == 2  # beside the change, and in place of a verdict
    assert "falls below" in text.partition("\nchange to dense")[0]


def test_a_replicate_without_a_sound_record_is_named_and_renames_no_group(fabricate, compare, tmp_path):
    """Replicate 0 has a damaged run.json, 2 a damaged table, 3 none at all; 7 a damaged config."""
    other = {"choices": {"prune": "mine"}}
    for k in range(5):
        fabricate(replicate=k, test=(0.9, 0.8 + k / 100), **other)
        fabricate(ident="bbbbbbbbbb", replicate=k, test=(0.9, 0.7 + k / 100))
    config = tmp_path / "outputs" / "lenet_300_100_digits_imp" / "aaaaaaaaaa"
    for broken in ("replicate_0/run.json", "replicate_2/metrics.csv"):
        (config / broken).write_text("odd")
    (config / "replicate_3" / "run.json").unlink()
    (config / "replicate_5").mkdir()
    fabricate(replicate=6, test=(), **other)
    fabricate(replicate=7, test=(0.9, 0.1), **other)
    fabricate(replicate=8, test=(0.9, 0.1), **other)
    (config / "replicate_7" / "config.yaml").write_text("odd: 1")
    (config / "replicate_8" / "config.yaml").unlink()
    text = compare()
    assert "A aaaaaaaaaa lenet_300_100_digits_imp lenet_300_100 digits mine" in " ".join(text.split())
    for k, name in enumerate(("run.json", "", "metrics.csv")):  # what the mean leaves out is named
        assert (f"replicate_{k} is left out: " in text) == bool(name)
        assert not name or f"replicate_{k}/{name} is damaged" in text
    for k, why in ((7, "its checksum is wrong"), (8, "it is missing")):
        assert f"replicate_{k} is left out: " in text
        assert f"replicate_{k}/config.yaml is damaged ({why})" in text
        assert Facts(config / f"replicate_{k}").row["state"] == "damaged"
    assert "replicate_5" not in text  # nothing was ever there
    assert "no level of A is finished yet in replicate 6" in text
    rows = json.loads(compare("format=json"))["rows"]
    assert {(row["run"], row["replicates"]) for row in rows} == {("A", 2), ("B", 5)}
    assert "replicate_3 is left out: its run.json is missing" in text.replace("\n", " ")
    with pytest.warns(UserWarning, match="replicate_3 is left out: its run.json is missing"):
        runs = package.load(tmp_path / "outputs")
    assert set(runs.runs["method"]) == {"mine", "imp"}
    assert {label.partition(",")[0] for label in labels(runs.folders).values()} == {"mine", "imp"}
    with pytest.warns(UserWarning, match="replicate_[0278] is left out: "):
        assert sorted(runs.levels.query("method == 'mine'")["replicate"].unique()) == [1, 4]
    problems = gather.gather(runs.folders, 0.005).problems
    assert all(any(f"replicate_{k}" in line for line in problems) for k in (0, 2, 3, 7, 8))
    assert "replicate_3" in " ".join(Material(runs).notes)  # which plot says, and captions


@pytest.fixture
def three(fabricate, two):
    """Of A and B, and C: as B, but one replicate short and sparser."""
    a, b = two
    own = {"choices": {"prune": "snip"}, "config": {"prune.criterion": {"name": "snip"}}}
    c = [(0.95, 0.90), (0.96, 0.92)]
    for k in range(2):
        fabricate("lenet_300_100_digits_snip", "cccccccccc", replicate=k, test=c[k], **own)
    return a, b, c


def test_the_table_of_a_paper_has_the_means_of_each_density(three, compare):
    a, b, c = three
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(compare("layout=wide", "at=0.64,0.8", "format=csv")))}
    assert [*rows] == ["imp", "random", "snip"]
    for name, table in zip(rows, (a, b, c), strict=True):
        for level, density in enumerate(("1", "0.8", "0.64")):
            values = [row[level] for row in table if len(row) > level]
            assert float(rows[name][f"{density}_n"]) == len(values)
            if values:
                assert float(rows[name][density]) == pytest.approx(sum(values) / len(values))
                reach = oracle.t.ppf(0.975, len(values) - 1) * oracle.sem(values)
                assert float(rows[name][f"{density}_high"]) == pytest.approx(sum(values) / len(values) + reach)
    text = compare("layout=wide", "at=0.8,0.64")
    assert "snip has no level near 0.64 (it has: 1, 0.8)" in text and "▸98.03" in text
    heads = next(line for line in text.splitlines() if line.startswith("method"))
    assert heads.split() == ["method", "dense", "80", "%", "64", "%"]
    assert "95.00 ± 0.00" not in text and "(n=2)" in text  # where replicates differ, each says how many


def test_a_density_that_is_missed_is_answered_with_what_to_type(three, compare, lottery, capsys):
    assert lottery("compare", "layout=wide", "at=0.77,0.6") == 2
    assert "; the nearest are at=0.8,0.64" in capsys.readouterr().err
    text = compare("layout=wide", "at=0.77,0.77", "near=0.1")
    assert text.count("77 %") == 1 + 3 and "note: of imp 77 % is the level at 0.8" in text  # a column, 3 notes


def test_what_has_no_mark_is_told_of_none(fabricate, compare):
    fabricate("lenet_300_100_digits_imp", "aaaaaaaaaa", test=[0.95, 0.94])
    text = compare("layout=wide", "at=0.8")
    assert "of one replicate each, so without an interval" in text and "▸" not in text
    assert "▸" not in compare("layout=wide", "at=0.8", "format=json")


def test_the_best_is_bold_where_there_is_bold(two, compare):
    markdown = compare("layout=wide", "format=markdown")
    latex = compare("layout=wide", "format=latex")
    assert "| **98.03 ± 2.61** |" in markdown and r"\textbf{98.03 $\pm$ 2.61}" in latex and r"\toprule" in latex
    assert markdown.count("**9") == latex.count(r"\textbf{9") == 2  # of two densities; never of dense nets
    assert "bold: the highest mean" in markdown and "▸" not in markdown + latex


def test_ranks_are_those_that_no_test_excludes(three, compare):
    a, b, c = three
    (first, second, third) = csv.DictReader(io.StringIO(compare("layout=ranks", "at=0.8", "format=csv")))
    assert [row["method"] for row in (first, second, third)] == ["imp", "random", "snip"]
    told = oracle.ttest_rel([r[1] for r in a], [r[1] for r in b]).pvalue < 0.05  # the others share two replicates
    assert [(int(r["rank_low"]), int(r["rank_high"])) for r in (first, second, third)] == [(1, 3 - told), (1 + told, 3), (1, 3)]
    gap = [x[1] - y[1] for x, y in zip(b, a, strict=True)]
    assert float(second["difference"]) == pytest.approx(sum(gap) / 3)
    assert "between" in compare("layout=ranks", "at=0.8")


def test_ranks_of_what_less_of_is_better(fabricate, compare):
    """The lowest loss is first, and one that is surely lower is surely first."""
    for k in range(4):
        fabricate(ident="aaaaaaaaaa", replicate=k, test=(0.9, 0.8), test_loss=(0.5, 0.1 + 0.001 * k))
        fabricate("lenet_300_100_digits_random", "bbbbbbbbbb", replicate=k, test=(0.9, 0.9), test_loss=(0.5, 0.3 + 0.002 * k), **RANDOM)
    rows = list(csv.DictReader(io.StringIO(compare("layout=ranks", "metric=test_loss", "format=csv"))))
    assert [(r["method"], r["rank_low"], r["rank_high"]) for r in rows] == [("imp", "1", "1"), ("random", "2", "2")]
    assert float(rows[1]["difference"]) < 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["layout=broad"], "long, wide, ranks"), (["layout=wide", "at=0,5"], "is no density; type at="), (["at=0.8"], "add one of them"),
        (["layout=wide", "at=0.01"], "no run has a level near"), (["layout=ranks", "at=0.8,0.64"], "type at=0.64"),
        (["layout=ranks", "at=0.3"], "another at="), (["layout=ranks", "metric=kept"], "no end of kept is better"),
    ],
)  # fmt: skip
def test_a_layout_that_cannot_be_is_refused_in_a_line(two, compare, words, says):
    line = compare(*words, code=2)
    assert says in line and line.count("\n") == 1


def test_right_after_pruning_and_the_gap_stand_beside_the_mean(fabricate, compare):
    for k in range(2):
        fabricate(replicate=k, test=(0.9, 0.8), start_test_accuracy=(0.1, 0.5 + 0.1 * k),
                  train_accuracy=(0.95, 0.81 + 0.02 * k), train_loss=(1.0, 2.0), test_loss=(1.5, 2.0))  # fmt: skip
    _, row = json.loads(compare("also=start,gap,gap_loss", "format=json"))["rows"]
    assert row["start_test_accuracy"] == pytest.approx(0.55)
    assert row["gap_accuracy"] == pytest.approx(0.02)  # (0.01 + 0.03) / 2
    assert row["gap_loss"] == 0.0
    assert row["gap_accuracy_high"] == pytest.approx(0.02 + oracle.t.ppf(0.975, 1) * 0.01)
    line = next(x for x in compare("also=start,gap").splitlines() if x.startswith("0.8"))
    assert line.split()[2:11] == "80.00 ± 0.00 (n=2) 55.00 ± 63.53 2.00 ±".split()
    text = compare("metric=gap")
    assert "gap, training minus test accuracy in points at each density" in text
    assert "tolerance" not in text and "2.00 ± 12.71 (n=2)" in text and "-3.00 (" in text
    before = compare("metric=start", "format=json")
    assert json.loads(before)["rows"][1]["dense_difference"] is None  # a net that knows nothing
    assert "beats dense" not in compare("metric=start")
    wide = compare("metric=gap", "layout=wide")
    assert formats.BEST not in wide and "2.00 ± 12.71" in wide


def test_the_gap_of_what_is_better_below_is_above_0_where_training_is_better(fabricate, compare):
    record = {"metrics": [{"name": "perplexity", "better": "lower", "mean": "log", "tolerance": 0.01}]}
    fabricate(test=(30.0, 36.0), metric="perplexity", record=record, train_perplexity=(28.0, 31.0))
    rows = json.loads(compare("metric=gap", "format=json"))["rows"]
    assert [row["mean"] for row in rows] == [2.0, 5.0]
    assert "gap, test minus training perplexity" in compare("metric=gap")


def test_columns_beside_the_mean_that_are_not_there_or_have_no_place(two, compare):
    assert "also=start_test_accuracy, which runs of earlier versions" in compare("also=start", code=2)
    assert "no run has a number of also=gap_accuracy" in compare("also=gap", code=2)
    assert "type metric=val_accuracy" in compare("also=val", "layout=wide", code=2)
    assert "type metric=val_accuracy" in compare("also=val", "match=cost", code=2)
