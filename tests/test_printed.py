"""Every command that is printed can be typed: those in the source, and those of wrong words, in that state."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from lottery import cli

PACKAGE = Path(cli.__file__).parent
RUNS = ("run", "plan", "search", "submit", "sparsest", "import")  # take settings of a config
OF_ALL = {"state", "prune", "replicate", "level", "branch", "as", "shuffle", "test", "density", "sort", "train", "figure", "start"}
FILLED = "X"  # stands for what an f-string fills in


def texts(path):
    """Yield every text of a module, an f-string as one with its gaps filled in; no docstrings of functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else FILLED for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_commands_of_the_source_take_the_options_they_are_printed_with():
    source = sorted(
        {
            (path.relative_to(PACKAGE).as_posix(), match[1], match[2].strip())
            for path in PACKAGE.rglob("*.py")
            for text in texts(path)
            for match in re.finditer(r"\blottery ([a-z]+)((?: [a-zA-Z_./-]+=[^\s;,()`]+| --[a-z-]+)*)", " ".join(text.split()))
            if match[1] in cli.commands() or re.search(r"(type:? |`)$", text[: text.find(match[0])])
        }
    )
    assert len(source) > 60
    for path, command, words in source:
        assert command in cli.commands(), (path, command, words)
        if command in RUNS:
            continue
        module = cli.command(command)
        flags = {"--help", *re.findall(r"--[a-z]+", module.__doc__ or "")}
        for word in words.split():
            key = word.partition("=")[0]
            known = key in module.KNOWN or key.partition(".")[0] in OF_ALL or f"{key}=" in (module.__doc__ or "")
            assert known if "=" in word else word in flags, (path, command, word)


WRONG = [  # a wrong line -> at least so many commands are printed
    ("run modle=resnet20", 0), ("run zzz=1", 1), ("run train.zzz=1", 0), ("run model.zzz=1", 0), ("run figure=accuracy", 1),
    ("run --nope", 1), ("run --cfg", 0), ("run prune=imp,snip", 0), ("show", 1), ("show nothing", 1), ("diff", 0), ("tail", 1),
    ("ls outputs=nowhere", 0), ("plot", 0), ("plot figure=accuracy", 1), ("report", 1), ("compare", 1),
    ("branch", 0), ("export", 0), ("bench", 0), ("clean --yes", 1), ("doctor zzz", 1), ("zzz", 0), ("run sparsity=0.5", 1),
]  # fmt: skip


def commands_in(said):
    """Return the commands in a line, without the words of prose behind them."""
    for match in re.finditer(r"\blottery (?:[a-z]+)(?: (?:-m|--package \w+|--[a-z-]+(?: job)?|'[^']*'|[\w./-]+=\S*[^\s;,:)`]))*", said):
        words = shlex.split(match[0])
        if words[1] in cli.commands():
            yield words[1:]


@pytest.mark.parametrize(("line", "least"), WRONG, ids=[line for line, _ in WRONG])
def test_what_a_wrong_line_tells_to_type_can_be_typed_there(line, least, lottery, capsys, monkeypatch, tmp_path):
    assert lottery(*line.split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    found = list(commands_in(said))
    assert len(found) >= least, said
    monkeypatch.setattr("lottery.experiment.jobs.Jobs.take", lambda self, job: job.settings)  # composed, not trained
    for words in found:
        code = lottery(*words)
        again = capsys.readouterr().err
        needs_runs = "no run" in again or "name " in again or "say what" in again
        assert code == 0 or (code == 2 and needs_runs and words[0] not in RUNS), (words, again)


STATES = {  # name of a run -> how it came to stand as it does
    "done": [], "diverged": ["train.optimizer.lr=1e30", "train.optimizer.momentum=0"], "stopped": [], "crashed": [],
}  # fmt: skip
LOOKING = [
    "ls", "show {}", "tail {}", "doctor", "clean", "compare", "diff done {}", "branch {}", "show", "diff {}", "export {}", "bench",
    "resume {}", "rm {}", "info", "tail", "run {}", "eval", "run resume=outputs/{}", "ls prune=snip", "export {} level=1 as=ticket to=z.safetensors",
]  # fmt: skip
DEAR = [
    "import z.safetensors", "report {} to=x{}.html", "export {} level=last as=onnx to=y{}.onnx", "bench {} level=1 repeats=2", "compact {} level=1",
    "plot", "plan name={} $TINY", "plot figure=overlap {}", "branch {} branch=shuffle",
]  # fmt: skip


@pytest.fixture
def standing(run, lottery, monkeypatch, capsys):
    """Leave runs in every state a run may be left in; return what their commands printed."""
    from lottery.experiment import loop
    from lottery.machine import signals

    said = {}
    for name, words in STATES.items():
        with monkeypatch.context() as patch:
            real = loop.obtain

            def obtain(locked, index, *given, name=name, real=real, **more):
                if index == 2 and name == "stopped":
                    signals.ASKED.append(75)
                    signals.leave_if_asked()
                if index == 2 and name == "crashed":
                    raise OSError(5, "Input/output error", "outputs/crashed")
                return real(locked, index, *given, **more)

            patch.setattr(loop, "obtain", obtain)
            run(f"name={name}", *words, code={"done": 0, "diverged": 6, "stopped": 75, "crashed": 5}[name])
        signals.forget()
        said[name] = "".join(capsys.readouterr())
    return said


def whole_commands(said):
    """Yield every command of ours in a text, up to where it ends; a piece of prose is none."""
    for match in re.finditer(r"(?<![\w./-])lottery (?!--)([a-z]+)\b([^\n`]*)", said):
        line = re.split(r"; | \(|, (?!\S*=)|: |\. |\.$| \| | {2,}", match[0])[0]
        words = shlex.split(line)
        if match[1] in cli.commands() and not any(word in PROSE for word in words[2:]):
            yield words[1:]


PROSE = {"with", "makes", "shows", "lists", "prints", "again", "once", "for", "and", "the", "or", "draws", "says", "takes"}


@pytest.mark.parametrize(("state", "lines"), [
    ("stopped", LOOKING), *(pytest.param(name, LOOKING + DEAR, marks=pytest.mark.slow) for name in STATES)
])  # fmt: skip
def test_what_is_printed_of_a_run_is_typed_in_its_state(state, lines, standing, tiny, lottery, capsys, monkeypatch, tmp_path):
    """A command that goes on with a run is the same run; any other ends with exit 0."""
    texts = [standing[state]]
    for line in lines:
        words = [w for word in line.replace("{}", state).split() for w in (tiny if word == "$TINY" else [word])]
        if words[0] == "import" and not (tmp_path / words[1]).exists():
            continue  # of a run without a level to export
        code = lottery(*words)
        texts.append("".join(capsys.readouterr()))
        assert code in (0, 1, 2, 4, 6), (line, code, texts[-1])
        assert "bug in lottery" not in texts[-1] and "Traceback" not in texts[-1], (line, texts[-1])
    typed = {tuple(words): text for text in texts for words in whole_commands(text)}
    assert len(typed) > 4, typed
    went_on = []
    monkeypatch.setattr("lottery.experiment.jobs.Jobs.execute", lambda self, job, words: went_on.append(folder_of(job)))
    monkeypatch.setattr("lottery.experiment.jobs.Jobs.summary", lambda self: "")
    for words, text in typed.items():
        code = lottery(*words)
        said = "".join(capsys.readouterr())
        unhealthy = words[0] == "doctor" and code == 4
        too_early = code == 2 and "finished" in said  # of a run that has no level to speak of
        assert code == 0 or unhealthy or too_early, (words, code, said, text)
    if state in ("stopped", "crashed"):
        assert any(folder.parts[-3] == state for folder in went_on), typed


def folder_of(job):
    from lottery.config import build
    from lottery.config.identity import run_folder

    build.parts(job.settings)
    return run_folder(job.settings, job.name)
