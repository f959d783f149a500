"""The pages do what they say: every command and every line of Python in them is run or checked."""

import contextlib
import csv
import dataclasses
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lottery import cli
from lottery.config import build
from lottery.config.schema import Config
from lottery.results.facts import COLUMNS

ROOT = Path(__file__).parent.parent
PAGES = sorted(ROOT.glob("docs/*.md")) + [ROOT / "README.md"]
INDEX = ROOT / "docs" / "README.md"
BIN = Path(sys.executable).parent
PLAIN = re.compile(r"[\w.,=/:\[\]{}+@ -]*")  # a line that means the same with and without a shell
SHELL = {"pip", "python", "git", "source", "eval", "scripts/run", "scripts/test", "sbatch", "ssh", "squeue", "scancel", "kubectl",
         "wait", "tensorboard", "wandb"}  # fmt: skip
FENCE = re.compile(r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block, what the comment above it says, and the output that the page shows for it."""

    kind: str
    text: str
    note: str
    line: int
    shown: str = ""

    def commands(self):
        """Return the command lines, continued ones joined, comments left out."""
        joined = self.text.replace("\\\n", " ")
        return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]

    def says(self, word):
        """Return what the comment above says after `word:`; None where it says nothing of it."""
        head, colon, rest = self.note.partition(":")
        return rest.strip() if colon and head == word else None


def blocks(path):
    """Return the blocks of a page in order, the output below a command with the command."""
    found = []
    text = path.read_text()
    for match in FENCE.finditer(text):
        line = text[: match.start("kind")].count("\n") + 1
        note = match["note"] or ""
        made = Block(match["kind"], match["text"], note, line)
        if made.kind == "text" and not note and found and touching(text, found[-1][1], match):
            before = found[-1][0]
            made = Block(before.kind, before.text, before.note, before.line, made.text)
            found[-1] = (made, match)
        elif made.kind == "console":
            found += [(each, match) for each in transcript(made)]
        else:
            found.append((made, match))
    return [each for each, _ in found]


def touching(text, one, other):
    """Say whether nothing stands between two blocks but blank lines."""
    return not text[one.end() : other.start()].strip()


def transcript(block):
    """Return a block a command of `$ command` lines with their output below."""
    for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        yield Block("bash", command + "\n", block.note, block.line, shown)


def lotteries(block):
    """Yield the words of every lottery command in a block of shell, variables set to 0."""
    for line in block.commands():
        with contextlib.suppress(ValueError):  # half of something that spans lines
            words = shlex.split(re.sub(r"\$(\w+|\{\w+\}|@)", "0", line), comments=True)
            words = words[words.index("lottery") :] if "lottery" in words else []
            stop = [i for i, w in enumerate(words) if w in (";", "|", "||", "&&", "&", ">", "2>&1")]
            if words[: min(stop, default=None)]:
                yield words[1 : min(stop, default=None)]


IDS = [f"{path.relative_to(ROOT)}" for path in PAGES]
EVERY = [(path, block) for path in PAGES for block in blocks(path)]
UNRUN = [(p, b) for p, b in EVERY if b.says("not run") is not None]


def name_of(value):
    return value.name if isinstance(value, Path) else f"line{value.line}"


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_block_is_of_a_kind_that_is_checked(path):
    fences = [line for line in path.read_text().splitlines() if line.startswith("```")]
    assert len(fences) % 2 == 0
    assert sum(1 for line in fences[::2]) == len(FENCE.findall(path.read_text())), "a fence without a kind?"
    for block in blocks(path):
        where = f"{path}:{block.line}"
        assert block.kind in ("bash", "python", "yaml", "text", "toml"), where
        head = block.note.partition(":")[0]
        assert head in ("", "not run", "exits", "file", "shown"), f"{where}: <!-- {block.note} -->"
        assert not block.note or block.note.partition(":")[2].strip(), f"{where}: say why, or what"
        if block.kind in ("yaml", "toml"):
            assert block.says("file"), f"{where}: which file is it?"
        if block.kind == "text":
            assert block.says("shown"), f"{where}: output of nothing; or say of what it is"
        if block.kind == "python":
            compile(block.text, where, "exec")


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_command_exists_and_takes_its_options(path):
    for block in blocks(path):
        for words in lotteries(block) if block.kind == "bash" else ():
            where = f"{path}:{block.line}: lottery {' '.join(words)}"
            assert not words or words[0] in [*cli.commands(), "--help", "--version", "-sc"], where
            for word in words[1:] if words and words[0] in cli.commands() else ():
                key = re.split("[!<>]?=", word)[0].removeprefix("+")
                if "=" in word and "." not in key and not word.startswith("-"):
                    assert key in taken(words[0], path), f"{where}: {key}="


def taken(command, path):
    """Return the keys that a command takes, those of options that the page itself makes included."""
    module = importlib.import_module(f"lottery.commands.{command}")
    groups = {p.parent.relative_to(build.conf_dir()).as_posix() for p in build.conf_dir().glob("*/**/*.yaml")}
    overrides = groups | {f.name for f in dataclasses.fields(Config)}
    if command in ("run", "plan", "search", "submit", "sparsest", "import"):
        return overrides | {*re.findall(r"\[(\w+)=", module.__doc__ or ""), *getattr(module, "KNOWN", ())} | ({"time", "layers", "format"} if command == "plan" else set())
    figures = [p.read_text() for p in build.conf_dir().glob("figure/*.yaml")]
    figures += [block.text for block in blocks(path) if block.kind == "yaml"]
    own = "".join(block.text for block in blocks(path) if block.says("file"))
    more = {key for text in figures for key in yaml.safe_load(text)} | {*re.findall(r"(\w+): \w+ = ", own)}
    more = more if command == "plot" else set()
    usage = (module.__doc__ or "").split("\n\n")
    return {*COLUMNS, "prune", "test", "val", *re.findall(r"(\w+)=", "".join(usage)), *more}


@pytest.mark.parametrize(("path", "block"), UNRUN, ids=name_of)
def test_what_is_not_run_would_compose(path, block, composed):
    """What needs a network, a GPU or a cluster: the same words, composed and bound."""
    assert len(block.says("not run").split()) > 2, f"{path}:{block.line}: say why it is not run"
    for line in block.commands() if block.kind == "bash" else ():
        first = shlex.split(line, comments=True)[:1] or [""]
        known = first[0] == "lottery" or first[0] in SHELL or "lottery" in line
        assert known, f"{path}:{block.line}: {line}: neither run nor checked"
        for script in re.findall(r"(?:^| )(scripts/\w+(?:\.py)?)", line):
            assert (ROOT / script).exists(), f"{path}:{block.line}: {script}"
    for words in lotteries(block) if block.kind == "bash" else ():
        if words[:1] in (["run"], ["plan"], ["submit"], ["sparsest"]):
            composed([w for w in words[1:] if not w.startswith(("slurm.", "kubernetes.", "--print"))])


@pytest.fixture
def composed():
    """Compose and bind the config of an override list, each value of a sweep once."""
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.override_parser.overrides_parser import OverridesParser

    ConfigStore.instance().store(name="skeleton", node=Config)

    def call(words):
        plain = [w for w in words if not w.startswith("-")]
        sweeping = len(plain) < len(words) and {"-m", "--multirun"} & {*words}
        values = [
            list(o.sweep_string_iterator()) if sweeping and o.is_sweep_override() else [None]
            for o in OverridesParser.create().parse_overrides(plain)
        ]
        for turn in range(max(map(len, values), default=1)):
            picked = [
                w if v[0] is None else f"{w.partition('=')[0]}={v[min(turn, len(v) - 1)]}"
                for w, v in zip(plain, values)
            ]
            with initialize_config_dir(str(build.conf_dir()), version_base="1.3"):
                build.parts(build.plain(compose("run", picked)))

    return call


def test_a_mistake_in_what_is_not_run_is_found(composed):
    for words in (["model=resnet21"], ["train.lenght=3ep"], ["prune.criterion.powr=1"]):
        with pytest.raises(Exception, match=r"resnet21|lenght|powr"):
            composed(words)


def prose(path):
    """Return a page without its blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)


def anchors(path):
    """Return the anchors of a page's headings, as they are made where it is read."""
    found = []
    for heading in re.findall(r"^#+ (.*)$", prose(path), re.M):
        word = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(word + (f"-{found.count(word)}" if word in found else ""))
    return found


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    text = prose(path)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, anchor = target.partition("#")
        if not re.match(r"https?:|mailto:", target):
            there = (path.parent / place).resolve() if place else path
            assert there.exists(), f"{path.name}: {target}"
            assert not anchor or anchor in anchors(there), f"{path.name}: {target}"


def test_every_page_is_in_the_index_and_every_figure_in_a_page():
    linked = set(re.findall(r"\]\((\w[\w-]*\.md)", INDEX.read_text()))
    assert {p.name for p in ROOT.glob("docs/*.md")} - {INDEX.name} <= linked
    pages = "".join(p.read_text() for p in PAGES)
    assert not [p.name for p in ROOT.glob("docs/**/*") if p.suffix in (".png", ".svg") and p.name not in pages]


def test_the_readme_is_short_and_begins_with_two_commands():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 300
    assert blocks(ROOT / "README.md")[0].text.split()[0] == "scripts/run"
    assert not [word for word in cli.commands() if f"`lottery {word}`" not in "".join(lines) and f"`{word}`" not in "".join(lines)]


def test_generated_pages_are_those_of_the_configs():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "methods.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_option_is_in_the_pages():
    words = set(re.findall(r"[\w.]+", "".join(p.read_text() for p in ROOT.glob("docs/*.md"))))
    missing = [p for p in ROOT.glob("conf/**/*.yaml") if p.stem not in words]
    assert not missing
    knobs = yaml.safe_load((ROOT / "conf" / "run.yaml").read_text())
    assert not [key for key in knobs if key not in words and key != "hydra"]


def documented(name):
    """Return the columns that docs/files.md lists under the heading of a file."""
    text = (ROOT / "docs" / "files.md").read_text()
    (section,) = re.findall(rf"^### `{re.escape(name)}`$(.*?)(?=^##|\Z)", text, re.M | re.S)
    return [word for cell in re.findall(r"^\| (`.*?) \|", section, re.M) for word in re.findall(r"`(\w+)`", cell)]


def test_every_column_of_every_table_is_documented(run, capsys):
    for replicate in (0, 1, 2):
        folder = run("sanity=true", "levels=1", f"replicate={replicate}")
    other = run("prune=random", "levels=1")
    found = {}
    paths = [p for f in (folder, folder.parent, other, folder / "level_01") for p in f.glob("*.csv")]
    for path in paths:
        with path.open(newline="") as file:
            found[path.name] = next(csv.reader(file))
    assert found.keys() >= {"metrics.csv", "layers.csv", "branches.csv", "curve.csv", "sanity.csv"}
    for name, columns in found.items():
        assert columns == documented(name), name


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_a_page_does_what_it_says(path, lottery, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("LOTTERY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal has narrower tables
    monkeypatch.setenv("PYTHONPATH", "")
    checkout = "<!-- in a checkout -->" in path.read_text()
    if checkout:
        for folder in ("lottery", "conf"):
            shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
        os.environ["PYTHONPATH"] = str(tmp_path)
    namespace = {"__name__": "__main__"}
    for block in blocks(path):
        if block.says("not run") is not None or block.kind == "text":
            continue
        if (name := block.says("file")) is not None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(block.text)
            continue
        capfd.readouterr()
        code = perform(block, path, tmp_path, lottery, namespace, alone=checkout or (tmp_path / "site").exists())
        out, err = capfd.readouterr()
        where = f"{path.name}:{block.line}\n{block.text}"
        assert code == int(block.says("exits") or 0), f"{where}\n{out[-3000:]}\n{err[-1500:]}"
        gone = missing(block.shown, out + err)
        assert gone is None, f"{where}\nthe page shows\n  {gone}\nand there came\n{out[-3000:]}{err[-1500:]}"


def perform(block, path, folder, lottery, namespace, alone):
    """Run a block as its reader would; return the exit code."""
    if block.kind == "python" and not alone:
        exec(compile(block.text, f"{path.name}:{block.line}", "exec"), namespace)
        return 0
    if block.kind == "python":
        return subprocess.run([sys.executable, "-"], input=block.text, text=True, cwd=folder, check=False).returncode
    lines = block.commands()
    if not alone and all(line.startswith("lottery ") and PLAIN.fullmatch(line) for line in lines):
        for line in lines:
            if code := lottery(*shlex.split(line)[1:]):
                return code
        return 0
    script = re.sub(r"^pip install (-e )?\./(\S+)", INSTALL, block.text, flags=re.M)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, check=False)
    if script != block.text:
        os.environ["PYTHONPATH"] = str(folder / "site")
    return done.returncode


# A package that a page makes is installed beside this environment, which stays as it is.
INSTALL = r"pip install -q --no-deps --no-index --no-build-isolation --target site ./\2\nexport PYTHONPATH=$PWD/site"


def missing(shown, printed):
    """Return the first line of what a page shows that was not printed, in order; None for none."""
    came = iter(printed.splitlines())
    for line in shown.splitlines():
        if line.strip() in ("", "..."):
            continue
        wanted = pattern(line)
        if not any(wanted.fullmatch(" ".join(each.split())) for each in came):
            return line
    return None


def pattern(line):
    """Return what a shown line stands for: words and whole numbers as they are.

    Other machines round otherwise, so of a decimal number, a time and an id only the shape counts;
    `...` stands for anything.
    """
    found = ""
    for word in re.split(r"(\.\.\.|\b[0-9a-f]{10}\b|\b[0-9a-f]{32}\b|[+-]?\d+(?:[.:T-]\d+)+(?:\+00:00)?)", " ".join(line.split())):
        if word == "...":
            found += ".*"
        elif re.fullmatch(r"(?=.*\d)[0-9a-f]{10}|[0-9a-f]{32}", word):
            found += "[0-9a-f]+"
        elif re.fullmatch(r"[+-]?\d+(?:[.:T-]\d+)+(?:\+00:00)?", word):
            found += r"[+-]?\d+(?:[.:T-]\d+)*(?:\+00:00)?"
        else:
            found += re.escape(word)
    return re.compile(found)


def test_what_a_page_shows_has_to_come_in_order():
    printed = "level 1 kept 40,160/50,200 97.22\nrun 4e29056e29 done 2026-11-21T13:53:35+00:00\nlast"
    assert missing("level 1 kept 40,160/50,200 98.61\n...\nrun 0123456789 done 2025-01-01T00:00:00+00:00\n", printed) is None
    assert missing("level 2 kept 40,160/50,200 97.22", printed)
    assert missing("level 1 kept 40,161/50,200 97.22", printed)
    assert missing("last\nlevel 1 ...", printed)
