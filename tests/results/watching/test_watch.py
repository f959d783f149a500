"""What a page is told: runs as they stand, what changed since, whatever state the disk is in."""

import hashlib
import json
import os
import shutil
import time

import pytest

from lottery.errors import UsageError
from lottery.progress import pulse
from lottery.results.watching import jobs, rows
from lottery.storage import records

PERPLEXITY = {"name": "perplexity", "better": "lower", "unit": "number", "mean": "log"}


def states(found):
    return {row["id"][-1]: row["state"] for row in found["rows"]}


def test_all_of_it_first_and_then_only_what_changed(fabricate, watching, say):
    one, two = fabricate(), fabricate(replicate=1)
    watch = watching()
    first = watch.since(0)
    assert first["whole"] and states(first) == {"0": "done", "1": "done"}
    assert first["counts"] == {"done": 2}
    (facet,), (line,) = first["facets"], first["lines"]
    assert facet["title"] == "lenet_300_100 on digits"
    assert (facet["measure"], facet["unit"], facet["higher"], facet["logarithmic"]) == ("test accuracy", "%", True, False)
    assert facet["lines"][0] == line["id"] == str(one.parent)
    assert line["label"] == "imp"
    say(two, state="failed", error="it broke")
    found = watch.since(first["version"])
    assert not found["whole"] and states(found) == {"1": "failed"}
    assert found["rows"][0]["error"] == "it broke"
    assert found["counts"] == {"done": 1, "failed": 1}
    assert json.dumps(found)


def test_nothing_is_told_twice_where_nothing_changes(fabricate, watching, outputs):
    for k in range(5):
        fabricate(replicate=k)
    for path in [outputs, *outputs.rglob("*")]:  # long ago
        os.utime(path, ns=(10**18, 10**18))
    watch = watching()
    version = watch.since(0)["version"]
    for _ in range(3):
        found = watch.since(version)
        assert (found["version"], found["rows"], found["lines"], found["gone"]) == (version, [], [], [])
    fabricate(replicate=5)
    assert states(watch.since(version)) == {"5": "done"}


def test_a_version_that_this_server_never_had_gets_everything(fabricate, watching):
    fabricate()
    watch = watching()
    assert watch.since(10**9)["whole"]
    watch.oldest = watch.version + 1  # too many went since
    assert watch.since(watch.version)["whole"]


def test_means_over_replicates_have_their_interval(fabricate, watching):
    for k, end in enumerate((0.90, 0.92, 0.94)):
        fabricate(replicate=k, test=(0.97, end))
    (line,) = watching().since(0)["lines"]
    (dense, *first, _), (density, mean, low, high, words, whole) = line["points"]
    assert dense == 100 and first[0] == pytest.approx(97)
    assert (density, mean) == (pytest.approx(80), pytest.approx(92))
    assert (mean - low, high - mean) == (pytest.approx(4.97, abs=0.01),) * 2  # 4.303 * 2 / sqrt(3)
    assert words == "80 % of weights: 92.00 ± 4.97, 3 replicates"
    assert whole is True


def test_a_level_that_not_all_replicates_have_says_so_and_no_interval_leaves_the_scale(fabricate, watching):
    fabricate(test=(0.5, 0.99))
    fabricate(replicate=1, test=(0.9, 0.80))
    fabricate(replicate=2, test=(0.9,))
    (line,) = watching().since(0)["lines"]
    assert [point[-1] for point in line["points"]] == [True, False]
    assert all(point[3] <= 100 for point in line["points"])


def test_lines_that_begin_alike_share_a_dense_net(fabricate, watching):
    for k, dense in enumerate((0.95, 0.97)):
        fabricate(replicate=k, test=(dense, 0.9))
        fabricate(ident="bbbbbbbbbb", choices={"prune": "random"}, replicate=k, test=(dense, 0.5))
    watch = watching()
    (net,) = watch.since(0)["facets"][0]["dense"]
    assert (net["mean"], net["look"]) == (pytest.approx(96), None)
    assert net["low"] == pytest.approx(96 - 12.71, abs=0.01) and net["high"] == 100  # 12.706 * 1 / sqrt(1)
    fabricate(ident="cccccccccc", choices={"prune": "snip"}, test=(0.6, 0.5))
    assert [(n["mean"], n["look"]) for n in watch.since(0)["facets"][0]["dense"]] == [(pytest.approx(96), None), (pytest.approx(60), 2)]
    assert watch.lines.dense([None] * 3, watch.lines.metrics[watch.lines.every[next(iter(watch.lines.every))].facet]) == []


def test_lower_is_better_and_a_number_has_no_unit(fabricate, watching):
    for k, end in enumerate((20.0, 45.0)):
        fabricate(replicate=k, metric="perplexity", test=(10.0, end), record={"metrics": [PERPLEXITY]})
    found = watching().since(0)
    (facet,), (line,) = found["facets"], found["lines"]
    assert (facet["measure"], facet["unit"], facet["higher"], facet["logarithmic"]) == ("test perplexity", "", False, True)
    assert line["points"][1][1] == pytest.approx(30)  # the geometric mean
    assert found["rows"][0]["test"] in ("20.00", "45.00")


def test_what_is_measured_otherwise_is_drawn_apart(fabricate, watching):
    fabricate()
    fabricate(ident="bbbbbbbbbb", metric="perplexity", record={"metrics": [PERPLEXITY]})
    fabricate(ident="cccccccccc", choices={"dataset": "mnist"})
    fabricate(ident="dddddddddd", choices={"prune": "random"})
    found = watching().since(0)
    assert [sum(c is not None for c in f["lines"]) for f in found["facets"]] == [2, 1, 1]
    assert {line["label"] for line in found["lines"]} == {"imp", "random"}


def test_a_line_keeps_its_look_while_others_come_and_a_name_grows_where_it_has_to(fabricate, watching):
    one = fabricate(ident="bbbbbbbbbb", choices={"prune": "random"})
    watch = watching()
    before = watch.since(0)
    fabricate(ident="aaaaaaaaaa", choices={"prune": "imp"})
    fabricate(ident="cccccccccc", choices={"prune": "random"}, config={"train.batch_size": 12})
    found = watch.since(before["version"])
    (facet,) = found["facets"]
    assert facet["lines"][0] == str(one.parent)
    assert {line["label"] for line in found["lines"]} == {"imp", "random, batch_size 96", "random, batch_size 12"}
    assert {row["label"] for row in found["rows"]} == {line["label"] for line in found["lines"]}


def test_of_many_lines_the_newest_are_drawn(fabricate, watching):
    for k in range(15):
        fabricate(ident=f"{k:010d}", config={"train.batch_size": k}, record={"ended": f"2026-11-01T10:{k:02d}:00+00:00"})
    watch = watching()
    found = watch.since(0)
    (facet,) = found["facets"]
    assert facet["more"] == 3
    assert {line["label"] for line in found["lines"]} == {f"imp, batch_size {k}" for k in range(3, 15)}
    fabricate(ident="a" * 10, config={"train.batch_size": 99})
    newer = watch.since(found["version"])
    (after,) = newer["facets"]
    assert [line["label"] for line in newer["lines"]] == ["imp, batch_size 99"]
    assert sum(a != b for a, b in zip(facet["lines"], after["lines"], strict=True)) == 1


def test_a_run_at_work_says_how_far_it_is(fabricate, watching, at_work):
    folder = fabricate()
    watch = watching()
    with at_work(folder):
        found = watch.since(0)
        (live,) = found["live"]
        assert states(found) == {"0": "running"}
        assert found["rows"][0]["ended"] is None
        assert (live["where"], live["density"], live["step"], live["left"]) == ("level 1/3", "80 %", "step 30/90", "1:05")
        assert live["share"] == pytest.approx((1 + 1 / 3) / 4)
        assert (live["value"], live["epoch"], live["rate"]) == ("val 25.00 %", "epoch 1.5", "")
        assert live["curve"] == [[0, 10], [24, 25]]
        assert live["about"] == "validation accuracy (%), of the level at work"
        sign = json.loads((folder / pulse.NAME).read_text())
        (folder / pulse.NAME).write_text(json.dumps({**sign, "at": sign["at"] + 2, "step": 70}))
        assert watch.since(0)["live"][0]["rate"] == "20 steps/s"
        (folder / pulse.NAME).write_text(json.dumps({**sign, "at": time.time() - 95, "steps": 0}))
        (live,) = watch.since(0)["live"]
        assert (live["step"], live["rate"], live["quiet"][:11]) == ("scoring, 30 batches", "", "no sign for")
    found = watch.since(found["version"])
    assert (found["live"], states(found)) == ([], {"0": "killed"})  # its process is gone without a word
    assert found["rows"][0]["again"] == "lottery run"


def test_a_run_of_another_machine_is_at_work_while_its_sign_is_fresh(fabricate, watching, say):
    folder = fabricate()
    say(folder, state="running", host="elsewhere")
    sign = {"level": 0, "levels": 3, "branch": "", "density": 1, "step": 1, "steps": 9, "left": None, "row": {}, "host": "elsewhere"}
    (folder / pulse.NAME).write_text(json.dumps(sign | {"at": time.time()}))
    watch = watching()
    found = watch.since(0)
    assert (states(found), found["rows"][0]["host"]) == ({"0": "running"}, "elsewhere")
    assert found["live"][0]["curve"] == []  # one of an earlier version says none
    (folder / pulse.NAME).write_text(json.dumps(sign | {"at": time.time() - pulse.FRESH - 9}))
    assert states(watch.since(found["version"])) == {"0": "killed"}


@pytest.mark.parametrize(
    "odd",
    [{"at": 1e999}, {"step": 10**400}, {"levels": -1, "level": -5}, {"density": 1e999}, {"left": 1e999}, {"curve": [[1, 2, 3]]},
     {"curve": 7}, {"curve": [["a", None]]}, {"curve": [[0, 1e308]] * 9999}, {"row": {"epoch": 1e999, "val_accuracy": -1e308}}],
)  # fmt: skip
def test_an_odd_sign_of_life_costs_no_page(fabricate, watching, at_work, odd):
    folder = fabricate()
    watch = watching()
    with at_work(folder):
        said = json.loads((folder / pulse.NAME).read_text()) | {"host": records.hostname()}
        (folder / pulse.NAME).write_text(json.dumps(said | odd))
        from lottery.results.watching.server import as_json

        found = json.loads(as_json(watch.since(0)))
    assert found["live"][0]["where"]


def damaged(folder):
    (folder / "run.json").write_bytes((folder / "run.json").read_bytes()[:90])


DAMAGE = {
    "run.json half written": damaged,
    "run.json empty": lambda f: (f / "run.json").write_text(""),
    "run.json a folder": lambda f: [(f / "run.json").unlink(), (f / "run.json").mkdir()],
    "metrics.csv edited": lambda f: (f / "metrics.csv").write_text("level,density\n0,x\n"),
    "metrics.csv binary": lambda f: (f / "metrics.csv").write_bytes(bytes(range(256))),
    "config.yaml edited": lambda f: (f / "config.yaml").write_text("model: {"),
    "config.yaml gone": lambda f: (f / "config.yaml").unlink(),
    "manifest gone": lambda f: (f / "manifest.json").unlink(),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_shown_beside_the_others_and_goes_when_it_is_mended(fabricate, watching, outputs, what):
    folder = fabricate()
    fabricate(replicate=1)
    shutil.copytree(folder, outputs.parent / "aside")
    watch = watching()
    version = watch.since(0)["version"]
    DAMAGE[what](folder)
    found = watch.since(version)
    row = next(row for row in found["rows"] if row["id"] == str(folder))
    assert row["state"] in ("damaged", "unreadable")
    assert row["error"]
    assert found["counts"] == {"done": 1, row["state"]: 1}
    assert found["facets"]
    shutil.rmtree(folder)
    shutil.copytree(outputs.parent / "aside", folder)
    assert watch.since(version)["counts"] == {"done": 2}


ODD = [{"started": 7}, {"ended": [1]}, {"seconds": 1e308}, {"error": {"a": 1}}, {"host": 5}, {"levels_asked": -3}, {"log": "../../etc/passwd"},
       {"log": "/etc/passwd"}, {"log": 5}, {"metrics": [{"name": 3}]}, {"metrics": 7}, {"choices": {"model": None}}, {"warnings": [7]},
       {"command": "lottery run; rm -rf /"}, {"state": "<script>"}, {"state": ""}, {"ended": "9999-12-31T23:59:59-23:59"}]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_an_odd_record_costs_no_page(fabricate, watching, odd):
    fabricate(record=odd)
    found = watching().since(0)
    (row,) = found["rows"]
    assert row["log"] == "" and "rm -rf" not in row["again"]
    assert json.dumps(found, allow_nan=False)


def test_a_run_nobody_has_thought_of_is_a_row(fabricate, watching, monkeypatch):
    fabricate()
    monkeypatch.setattr(rows, "reached", lambda *_: 1 / 0)
    (row,) = watching().since(0)["rows"]
    assert (row["state"], row["error"]) == ("damaged", "ZeroDivisionError: division by zero")


def test_folders_may_be_empty_go_and_come_back(fabricate, watching, outputs):
    watch = watching()
    assert watch.since(0)["none"].startswith("there are no runs under ")
    folder = fabricate()
    found = watch.since(0)
    assert (found["none"], states(found)) == ("", {"0": "done"})
    shutil.rmtree(folder)
    gone = watch.since(found["version"])
    assert (gone["gone"], gone["counts"], gone["facets"]) == ([str(folder)], {}, [])
    shutil.rmtree(outputs)
    assert watch.since(gone["version"])["none"]
    fabricate(ident="bbbbbbbbbb")
    assert states(watch.since(gone["version"])) == {"0": "done"}


def test_words_keep_runs_also_those_that_come(fabricate, watching, say):
    fabricate(choices={"prune": "imp"})
    other = fabricate(ident="bbbbbbbbbb", choices={"prune": "random"})
    watch = watching("prune=random")
    found = watch.since(0)
    assert [row["id"] for row in found["rows"]] == [str(other)]
    new = fabricate(ident="cccccccccc", choices={"prune": "random"})
    fabricate(ident="dddddddddd", choices={"prune": "snip"})
    assert {row["id"] for row in watch.since(found["version"])["rows"]} >= {str(new)}
    assert watch.since(0)["counts"] == {"done": 2}
    failing = watching("state=failed")
    assert failing.remarks == ["no run with state=failed yet; state is done"]
    assert failing.since(0)["rows"] == []
    say(other, state="failed")
    assert failing.since(0)["counts"] == {"failed": 1}
    say(other, state="done")
    assert failing.since(0)["counts"] == {}


@pytest.mark.parametrize("word", ["mine", "aaaa", "mine/aaaaaaaaaa", "outputs/mine", "outputs", "resnet20", "aaaaaaaaaa/replicate_0"])
def test_a_name_keeps_what_it_keeps_elsewhere(fabricate, watching, word):
    folder = fabricate(name="mine", choices={"model": "resnet20"})
    if word != "outputs":
        fabricate(name="another", ident="bbbbbbbbbb")
    assert [row["id"] for row in watching(word).since(0)["rows"]] == [str(folder)]


@pytest.mark.parametrize(("word", "line"), [("nothing", "watch: 'nothing' names no run"), ("prnue=imp", "did you mean 'prune'")])
def test_a_word_that_means_nothing_is_refused_where_there_are_runs(fabricate, watching, word, line):
    fabricate()
    with pytest.raises(UsageError, match=line):
        watching(word)


def test_before_there_are_runs_a_word_is_taken_and_told_later(fabricate, watching):
    watch = watching("prnue=imp")
    assert watch.since(0)["told"] == []
    fabricate()
    found = watch.since(0)
    assert found["rows"] == []
    assert "did you mean 'prune'" in found["told"][0]
    later = watching("prune=imp")
    assert later.since(0)["counts"] == {"done": 1}


def log_of(outputs, text, name="0.log"):
    place = outputs / ".sweeps" / "0123456789" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def test_a_job_without_a_run_is_known_by_its_log(fabricate, watching, outputs):
    folder = fabricate(record={"state": "failed", "error": "x", "log": ".sweeps/0123456789/1.log"})
    log = log_of(outputs, "lottery: warning: so\nlottery: prune.at: step 126 is after the end\n")
    log_of(outputs, "lottery: x\n", "1.log")  # that of the run
    log_of(outputs, "level 0\nlottery: warning: only that\n", "2.log")
    log_of(outputs, "lottery: stopped; to go on from here: lottery run\n", "3.log")
    watch = watching()
    found = watch.since(0)
    (job,) = found["jobs"]
    assert (job["label"], job["error"]) == ("job 0 of sweep 0123456789", "prune.at: step 126 is after the end")
    assert job["place"] == job["label"]
    log.write_text(f"job: prune=early\n{log.read_text()}")
    (job,) = watch.since(0)["jobs"]
    assert (job["label"], job["place"]) == ("prune=early", "job 0 of sweep 0123456789")
    assert watch.log(job["id"]) == log
    assert watch.log(str(folder)) == log.with_name("1.log")
    assert watch.log("/etc/passwd") is None
    assert found["rows"][0]["log"].endswith(".sweeps/0123456789/1.log")
    log.write_text("level   density\n")  # tried again
    assert watch.since(0)["jobs"] == []
    assert watching("prune=imp").since(0)["jobs"] == []


@pytest.mark.parametrize(("name", "found"), [("0.log", True), ("1234_5.log", True), ("x.log", False), ("../../x.log", False)])
def test_the_log_of_a_run_is_one_of_a_sweep(fabricate, watching, outputs, name, found):
    folder = fabricate(record={"log": f".sweeps/0123456789/{name}"})
    log = log_of(outputs, "lottery: x\n", name)
    assert watching().log(str(folder)) == (log if found else None)


def test_the_end_of_a_log_is_shown_as_a_terminal_would(tmp_path):
    path = tmp_path / "0.log"
    path.write_bytes(b"x" * 70_000 + b"\none\n  3%|#  |\r 50%|## |\r100%|###|\ntwo \x1b[31mred\xff\n")
    lines = jobs.tail(path)
    assert lines[1:] == ["one", "100%|###|", "two \\x1b[31mred\N{REPLACEMENT CHARACTER}"]
    assert len(lines[0]) <= jobs.LONG
    path.write_text("".join(f"{k}\n" for k in range(500)))
    assert jobs.tail(path) == [str(k) for k in range(500 - jobs.LINES, 500)]
    os.mkfifo(tmp_path / "1.log")
    with pytest.raises(OSError, match="no plain file"):
        jobs.tail(tmp_path / "1.log")


def snapshot(folder):
    return {
        path: (os.stat(path).st_mtime_ns, path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest())
        for path in [folder, *sorted(folder.rglob("*"))]
    }


def test_nothing_is_written(fabricate, watching, at_work, outputs, served):
    fabricate(record={"state": "failed", "log": ".sweeps/0123456789/0.log"})
    killed = fabricate(replicate=1, record={"state": "running"})
    (killed / ".lock").touch()
    damaged(fabricate(replicate=2))
    log_of(outputs, "lottery: x\n")
    with at_work(fabricate(replicate=3)):
        before = snapshot(outputs)
        ask = served()
        found = json.loads(ask("data").body)
        for row in found["rows"]:
            assert ask(f"log?of={row['id']}").status == 200
        assert ask().status == 200
        assert found["counts"] == {"failed": 1, "killed": 1, "damaged": 1, "running": 1}
        assert snapshot(outputs) == before


def test_what_people_wrote_is_data_and_no_page(fabricate, served):
    text = "</script><script>x</script>\u202e\x1b[31m"
    fabricate(name="<img src=x>", choices={"prune": text}, record={"error": text, "state": "failed", "host": text})
    ask = served()
    answer = ask("data")
    assert answer.headers["Content-Type"] == "application/json"
    assert b"\\u202e" in answer.body and b"\x1b" not in answer.body
    (row,) = json.loads(answer.body)["rows"]
    assert row["error"] == "</script><script>x</script>\\u202e\\x1b[31m"
    page = ask().body.decode()
    assert "<img" not in page and page.count("<script>") == 1
