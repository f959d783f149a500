"""Draw a figure of runs for a paper: PNG, SVG or PDF, and the numbers behind it as CSV.

usage: lottery plot figure=NAME [RUN...] [FILTER=VALUE...] [SETTING=VALUE...] [width=WIDTH]
                    [panels=KEY[,KEY]] [to=FILE[,FILE...]] [outputs=DIR]

RUN is a path, an id or the start of one, or a run's name, and FILTER narrows, as for lottery ls:
method=imp,random state=done. Without them all runs are drawn.
WIDTH is column (3.3 in, the default), page (6.75 in) or a number of inches.
panels=model,dataset draws a panel each, rows and columns by any one or two keys of filters, with
one legend and width=page by default.
FILE ends in .png, .svg or .pdf; by default it is plots/NAME.png. The CSV lies beside it.
"""

from pathlib import Path
from typing import Any

from lottery.commands import selection
from lottery.errors import UsageError
from lottery.wording.text import printable

KNOWN = {"figure": "", "to": "", "outputs": "outputs", "width": "", "panels": ""}
FOLDER = Path("plots")


def main(arguments: list[str]) -> int:
    """Draw and write the figure; return the exit code."""
    arguments = named(arguments)
    name = next((a.partition("=")[2] for a in arguments if a.startswith("figure=")), "")
    if "-h" in arguments or "--help" in arguments:
        print(help_of(name) if name else f"{(__doc__ or '').rstrip()}\n\n{overview()}")
        return 0
    from lottery.config.bind import components

    if not name:
        raise UsageError(
            f"plot: name a figure, as in figure=accuracy: {', '.join(components('figure'))}"
        )
    from lottery.results.naming import none_there
    from lottery.results.plotting.drawing import check_suffix, defaults, draw

    own = {key: value for key, value in defaults(name).items() if key != "name"}
    words, chosen = selection(arguments, None, KNOWN | dict.fromkeys(own, ""))
    typed = {
        k: read(chosen[k], own[k]) for k in own if any(a.startswith(f"{k}=") for a in arguments)
    }
    paths = [Path(word) for word in chosen["to"].split(",") if word] or [FOLDER / f"{name}.png"]
    for path in paths:
        check_suffix(path)
    outputs = Path(chosen["outputs"])
    folders = select(outputs, words or [], name, list(own))
    if not folders:
        raise UsageError(f"plot: {none_there(outputs)}")
    from lottery.results.tidy import Runs

    drawn = draw(name, Runs(folders), typed | {k: chosen[k] for k in ("width", "panels")})
    for path in paths:  # all of them before the first is written
        drawn.beside(path)
    for note in drawn.notes:
        print(f"note: {note}")
    if drawn.lacking and any(path.suffix.lower() != ".svg" for path in paths):
        print(
            f"note: no font here has {printable(drawn.lacking)}, so boxes stand for them; install "
            "one (for Chinese, Japanese and Korean fonts-noto-cjk), or write .svg"
        )
    written = [path for target in paths for path in drawn.save(target)]
    for path in dict.fromkeys(written):
        print(printable(path))
    return 0


def named(arguments: list[str]) -> list[str]:
    """Return the words with a figure's name, where it stands alone, as figure=NAME."""
    from lottery.config.answers.tables import options
    from lottery.config.bind import components
    from lottery.wording.spelling import plain

    if any(word.startswith(("figure=", "--figure")) for word in arguments):
        return arguments
    known = {plain(name): name for name in components("figure")}
    known = dict(options("figure")) | known
    for place, word in enumerate(arguments):
        begun = [name for name in known if name.startswith(plain(word)) and len(word) > 2]
        if word[:1] != "-" and (plain(word) in known or len(begun) == 1):
            figure = known.get(plain(word)) or known[begun[0]]
            return [f"figure={figure}", *arguments[:place], *arguments[place + 1 :]]
    return arguments


def select(outputs: Path, words: list[str], name: str, settings: list[str]) -> tuple[Path, ...]:
    """Return the runs that the words name; what is no filter may be a misspelt setting."""
    from lottery.results.choice import choose, is_filter

    try:
        return choose(outputs, words, "plot", [*settings, "width", "panels"])
    except UsageError as error:
        typed = [word.partition("=")[0] for word in words if is_filter(word, outputs)]
        if any("." not in key for key in typed) and "did you mean" not in str(error):
            listed = ", ".join([*settings, "width", "panels"])
            raise UsageError(f"{error}; figure={name} has the settings {listed}") from error
        raise


def read(text: str, default: Any) -> Any:
    """Return a setting as it was typed: a list where it is one, [a,b] or a,b; else a value."""
    import yaml

    def value(word: str) -> Any:
        try:
            return yaml.safe_load(word)
        except (yaml.YAMLError, ValueError, RecursionError):
            return word

    if isinstance(default, list):
        words = [
            word.strip() for word in text.strip().removeprefix("[").removesuffix("]").split(",")
        ]
        return [value(word) for word in words if word]
    return text if isinstance(default, str) else value(text)


def overview() -> str:
    """Return a line a figure: what it shows."""
    from lottery.config.bind import components, own_components
    from lottery.config.build import conf_dir

    lines = ["figures (lottery plot figure=NAME --help says what can be set):", ""]
    for name in components("figure"):
        path = conf_dir() / "figure" / f"{name}.yaml"
        own = name in own_components("figure")
        said = path.read_text().splitlines()[0].removeprefix("# ") if own else "an installed one"
        lines.append(f"  {name:<13} {said}")
    return "\n".join(lines)


def help_of(name: str) -> str:
    """Return what a figure shows and its settings: its yaml."""
    from lottery.config.bind import own_components
    from lottery.config.build import conf_dir
    from lottery.results.plotting.drawing import defaults

    settings = defaults(name)
    if name in own_components("figure"):
        lines = (conf_dir() / "figure" / f"{name}.yaml").read_text().splitlines()
        return "\n".join(line for line in lines if not line.startswith("name:"))
    return "\n".join(f"{key}: {value}" for key, value in settings.items() if key != "name")


def complete(start: str, words: list[str]) -> list[str]:
    """Return what a word that begins with `start` can become: figures, then their settings."""
    from lottery.config.bind import components
    from lottery.results.plotting.drawing import defaults

    chosen = next((w.partition("=")[2] for w in words if w.startswith("figure=")), "")
    known = components("figure")
    if chosen in known and not start.startswith("figure="):
        own = [key for key in defaults(chosen) if key != "name"]
        found = [f"{key}=" for key in ("to", "width", "panels", "outputs", *own)]
    else:
        found = [f"figure={name}" for name in known]
    return [word for word in found if word.startswith(start)]
