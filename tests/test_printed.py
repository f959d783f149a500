"""Every command that is printed can be typed: those in the source, and those of wrong words, in that state."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from lottery import cli

PACKAGE = Path(cli.__file__).parent
RUNS = ("run", "plan", "import")  # take settings of a config
OF_ALL = {"state", "prune", "replicate", "level", "branch", "as", "shuffle", "test", "density", "sort", "train", "figure"}
FILLED = "X"  # stands for what an f-string fills in


def texts(path):
    """Yield every text of a module, an f-string as one with its gaps filled in; no docstrings of functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else FILLED for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


SOURCE = sorted(
    {
        (path.relative_to(PACKAGE).as_posix(), match[1], match[2].strip())
        for path in PACKAGE.rglob("*.py")
        for text in texts(path)
        for match in re.finditer(r"\blottery ([a-z]+)((?: [a-zA-Z_./-]+=[^\s;,()`]+| --[a-z-]+)*)", " ".join(text.split()))
        if match[1] in cli.commands() or re.search(r"(type:? |`)$", text[: text.find(match[0])])
    }
)


def test_the_commands_of_the_source_take_the_options_they_are_printed_with():
    assert len(SOURCE) > 60
    for path, command, words in SOURCE:
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
    ("run modle=resnet20", 0), ("run zzz=1", 1), ("run train.zzz=1", 0), ("run model.zzz=1", 1), ("run figure=accuracy", 1),
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
    monkeypatch.setattr("lottery.jobs.Jobs.take", lambda self, job: job.settings)  # composed, not trained
    for words in found:
        code = lottery(*words)
        again = capsys.readouterr().err
        needs_runs = "no run" in again or "name " in again or "say what" in again
        assert code == 0 or (code == 2 and needs_runs and words[0] not in RUNS), (words, again)
