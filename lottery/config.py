"""Turn a config into bound parts; give a run its identity; find conf/.

The only module beside the command line that knows omegaconf.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib
import inspect
import json
import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from lottery.errors import DamagedError, UsageError
from lottery.files import CONFIG, read_plain

if TYPE_CHECKING:
    from lottery.parts import Parts

PACKAGE = Path(__file__).parent
FOLDERS = {
    "model": "models",
    "dataset": "datasets",
    "criterion": "criteria",
    "structure": "structures",
    "allocation": "allocations",
    "update": "updates",
    "schedule": "schedules",
    "rewind": "rewinds",
    "branch": "branches",
    "optimizer": "optimizers",
    "lr": "lrs",
}
# What does not change the numbers of a level is no part of a run's identity.
NOT_IDENTITY = (
    "host",
    "name",
    "replicate",
    "levels",
    "checkpoint_every",
    "outputs",
    "data",
    "branches",
    "branch_levels",
    "sanity",
    "strict",
)
COLUMNS = ("criterion", "structure", "allocation", "update")  # of the method table, components
SANITY = ("shuffle", "reinit", "random")  # what `sanity=true` trains beside each level
DEFAULT_LEVELS = 5
DEEPEST = 50  # lists and mappings within each other, in a config
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    RecursionError,
    OmegaConfBaseException,
    yaml.YAMLError,
)
LONGEST_LIST = 1_000  # levels after which a schedule counts as endless


@dataclass
class Train:
    """The skeleton of a recipe."""

    length: str = "???"
    batch_size: int = 128
    optimizer: dict[str, Any] = field(default_factory=dict)
    lr: dict[str, Any] = field(default_factory=dict)
    warmup: str = "0it"
    label_smoothing: float = 0.0
    slimming: float = 0.0
    clip: float | None = None
    precision: str = "fp32"
    channels_last: str = "auto"
    on_nan: str = "stop"


@dataclass
class Prune:
    """The skeleton of a row of the method table."""

    criterion: dict[str, Any] = field(default_factory=dict)
    structure: dict[str, Any] = field(default_factory=dict)
    allocation: dict[str, Any] = field(default_factory=dict)
    update: dict[str, Any] = field(default_factory=dict)
    at: str = "end"
    rounds: int = 1
    path: str = "exponential"
    nested: bool = True
    revive: bool = False
    exact: bool = True
    include: list[str] = field(default_factory=lambda: ["*"])
    exclude: list[str] = field(default_factory=list)


@dataclass
class Host:
    """The skeleton of a machine."""

    device: str = "auto"
    threads: int | None = None
    deterministic: bool = False
    progress: str = "auto"


@dataclass
class Config:
    """The skeleton of run.yaml."""

    model: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    train: Train = field(default_factory=Train)
    prune: Prune = field(default_factory=Prune)
    schedule: dict[str, Any] = field(default_factory=dict)
    rewind: dict[str, Any] = field(default_factory=dict)
    branches: dict[str, Any] = field(default_factory=dict)
    branch_levels: list[int] | None = None
    sanity: bool = False
    strict: bool = False
    host: Host = field(default_factory=Host)
    levels: int | None = None
    replicate: int = 0
    evaluate_every: str = "1ep"
    checkpoint_every: str = "60s"
    name: str | None = None
    outputs: str = "outputs"
    data: str = "~/.cache/lottery-data"


def conf_dir() -> Path:
    """Return the folder of yaml files: inside an installed package, beside it in a checkout."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def near(word: str, words: typing.Iterable[str]) -> str:
    """Return "; did you mean 'x'?" where one of `words` is near `word`, else nothing."""
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""


def components(kind: str) -> list[str]:
    """Return the names of a kind: the files of its folder, then installed entry points."""
    return own_components(kind) + sorted(e.name for e in entry_points(group=f"lottery.{kind}"))


def own_components(kind: str) -> list[str]:
    """Return the names of a kind that the package brings."""
    files = (PACKAGE / FOLDERS[kind]).glob("*.py")
    return sorted(p.stem for p in files if p.stem != "__init__")


def find(kind: str, name: Any, where: str) -> Callable[..., Any]:
    """Return the function of a component; never anything that a config spells with dots."""
    if name in own_components(kind):
        return getattr(importlib.import_module(f"lottery.{FOLDERS[kind]}.{name}"), name)  # type: ignore[no-any-return]
    for entry in entry_points(group=f"lottery.{kind}"):
        if entry.name == name:
            return entry.load()  # type: ignore[no-any-return]
    known = components(kind)
    raise UsageError(
        f"{where}.name: there is no {kind} '{name}'{near(str(name), known)} "
        f"(there are: {', '.join(known)})"
    )


def settings_of(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keyword-only parameters of a component: name -> (type, default or MISSING).

    `**options: Unpack[SomeTypedDict]` counts as one parameter a key.
    """
    hints = typing.get_type_hints(function)
    found: dict[str, tuple[Any, Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            absent = parameter.default is parameter.empty
            found[name] = (hints[name], dataclasses.MISSING if absent else parameter.default)
        elif parameter.kind is parameter.VAR_KEYWORD:
            (typed,) = typing.get_args(hints[name])
            found |= {k: (t, dataclasses.MISSING) for k, t in typing.get_type_hints(typed).items()}
    return found


def bind(kind: str, node: dict[str, Any], where: str) -> Callable[..., Any]:
    """Return the component that `node` names with its settings filled in and type-checked.

    Raises UsageError, in one line, for an unknown component, an unknown or missing setting and
    a value of the wrong type.
    """
    given = {key: value for key, value in node.items() if key != "name"}
    if "name" not in node:
        raise UsageError(f"{where}: says no name (there are: {', '.join(components(kind))})")
    function = find(kind, node["name"], where)
    known = settings_of(function)
    for key in given:
        if key not in known:
            hint = near(key, known) or (f" (it has: {', '.join(known)})" if known else "")
            raise UsageError(f"{where}: {node['name']} has no setting '{key}'{hint}")
    for key, (_, default) in known.items():
        if key not in given and default is dataclasses.MISSING:
            raise UsageError(f"{where}: {node['name']} needs a value for '{key}'")
    fields = [
        (key, kind_of, field(default=dataclasses.MISSING)) for key, (kind_of, _) in known.items()
    ]
    skeleton = dataclasses.make_dataclass(str(node["name"]), fields, kw_only=True)
    values: dict[str, Any] = {}
    for key, value in given.items():
        try:
            merged = OmegaConf.merge(OmegaConf.structured(skeleton), {key: value})
            values[key] = OmegaConf.to_container(merged)[key]  # type: ignore[index,call-overload]
        except OmegaConfBaseException as error:
            wanted = getattr(known[key][0], "__name__", str(known[key][0]))
            raise UsageError(f"{where}.{key}: {value!r} is no {wanted}") from error
    return partial(function, **values)


def plain(config: Any) -> dict[str, Any]:
    """Return a composed config as plain dicts, everything filled in; raises UsageError."""
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
    except MissingMandatoryValue as error:
        raise UsageError(f"config: no value for '{error.full_key}'") from error
    except OmegaConfBaseException as error:
        raise UsageError(f"config: {str(error).splitlines()[0]}") from error


def read(path: Path) -> dict[str, Any]:
    """Return the config.yaml of a run: data, safely loaded; raises DamagedError."""
    try:
        written = read_plain(path, CONFIG).decode()
        refuse_tricks(written)
        found = dict(OmegaConf.to_container(OmegaConf.create(written)))  # type: ignore[arg-type]
        if not found.keys() >= {"model", "dataset", "train"}:
            raise ValueError("it is no config of a run")
        return found
    except UNREADABLE as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedError(
            f"{path} cannot be read ({why}); type the command of this run again: it writes it anew"
        ) from error


def refuse_tricks(written: str) -> None:
    """Raise ValueError for what a config.yaml of ours never holds.

    Aliases multiply (nine lines of them fill any memory), tags and interpolations ask for more
    than data, and deep nesting is work without end.
    """
    if "${" in written:
        raise ValueError("it refers to something outside of it, with ${")
    depth = 0
    for event in yaml.parse(written, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has an alias")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise ValueError(f"it has the tag {tag}")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")


def text(settings: dict[str, Any]) -> str:
    """Return a config as YAML."""
    return OmegaConf.to_yaml(settings)


def normalised(value: Any) -> Any:
    """Return the value with numbers in one spelling: 1.0 is 1."""
    if isinstance(value, dict):
        return {str(key): normalised(v) for key, v in value.items()}
    if isinstance(value, list):
        return [normalised(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def identity(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a config that decides the numbers."""
    kept = {k: v for k, v in settings.items() if k not in NOT_IDENTITY}
    kept["dataset"] = {k: v for k, v in settings["dataset"].items() if k != "workers"}
    return normalised(kept)  # type: ignore[no-any-return]


def run_id(settings: dict[str, Any]) -> str:
    """Return ten hexadecimal digits that stand for the identity of a config."""
    words = json.dumps(identity(settings), sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()[:10]


def folder(settings: dict[str, Any], name: str) -> Path:
    """Return the absolute path of a run's replicate; `name` is for settings that give none.

    Raises UsageError for a name that is none of a folder.
    """
    name = settings["name"] or name
    if name in ("store", ".", "..") or not name.strip() or {"/", "\\", "\0"} & set(name):
        raise UsageError(f"name: '{name}' is no name for a folder under outputs/")
    outputs = Path(settings["outputs"]).expanduser().absolute()
    return outputs / name / run_id(settings) / f"replicate_{settings['replicate']}"


def flat(settings: dict[str, Any], at: str = "") -> dict[str, Any]:
    """Return settings with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{at}{key}.")
        else:
            found[f"{at}{key}"] = value
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return in words which settings differ: train.batch_size is 96 there, 128 asked."""
    there, asked = flat(before), flat(after)
    keys = [key for key in {**there, **asked} if there.get(key) != asked.get(key)]
    return [
        f"{k} is {there.get(k, 'not set')} there, {asked.get(k, 'not set')} asked" for k in keys
    ]


def branch(name: str) -> dict[str, Any]:
    """Return the settings of a branch as its yaml gives them; raises UsageError for no such."""
    known = sorted(p.stem for p in (conf_dir() / "branch").glob("*.yaml"))
    if name not in known:
        raise UsageError(
            f"branch: there is no '{name}'{near(name, known)} (there are: {', '.join(known)})"
        )
    node = OmegaConf.load(conf_dir() / "branch" / f"{name}.yaml")
    return OmegaConf.to_container(node)  # type: ignore[return-value]


def level_count(asked: int | None, schedule: Callable[[int], float]) -> int:
    """Return the pruned levels of a run: as asked, else all that the schedule lists, else 5."""
    listed = 0
    try:
        while listed < LONGEST_LIST:
            schedule(listed + 1)
            listed += 1
    except IndexError:
        if asked is not None and asked > listed:
            raise UsageError(
                f"levels={asked}: the schedule lists {listed}; add densities to "
                "schedule.densities or ask for fewer levels"
            ) from None
        return listed if asked is None else asked
    except OverflowError:
        pass  # a density far beyond 1, which the check of densities names by its level
    return DEFAULT_LEVELS if asked is None else asked


def parts(settings: dict[str, Any]) -> Parts:
    """Return the bound parts of a run; any name or setting that is wrong dies here."""
    from lottery.parts import Parts, Pruning, Recipe

    train, prune = settings["train"], settings["prune"]
    choose("train.precision", train["precision"], ("fp32", "bf16"))
    choose("train.channels_last", train["channels_last"], ("auto", "yes", "no"))
    choose("train.on_nan", train["on_nan"], ("stop", "rollback", "ignore"))
    choose("prune.path", prune["path"], ("exponential", "linear"))
    choose("host.progress", settings["host"]["progress"], ("auto", "bar", "lines", "none"))
    check_numbers(settings)
    recipe = Recipe(
        **{
            **train,
            "optimizer": bind("optimizer", train["optimizer"], "train.optimizer"),
            "lr": bind("lr", train["lr"], "train.lr"),
        },
        evaluate_every=settings["evaluate_every"],
        settings=normalised({**train, "evaluate_every": settings["evaluate_every"]}),
    )
    pruning = Pruning(
        **{
            **prune,
            "include": tuple(prune["include"]),
            "exclude": tuple(prune["exclude"]),
            **{k: bind(k, prune[k], f"prune.{k}") for k in COLUMNS},
            "update_settings": normalised(prune["update"]),
        }
    )
    if settings["sanity"]:
        check_sanity(prune)
    added = {name: branch(name) for name in SANITY} if settings["sanity"] else {}
    branches = added | settings["branches"]
    schedule = bind("schedule", settings["schedule"], "schedule")
    levels = settings["branch_levels"]
    return Parts(
        model=bind("model", settings["model"], "model"),
        model_settings=normalised(settings["model"]),
        dataset=bind("dataset", settings["dataset"], "dataset"),
        recipe=recipe,
        pruning=pruning,
        schedule=schedule,
        rewind=bind("rewind", settings["rewind"], "rewind"),
        branches={n: bind("branch", b, f"branches.{n}") for n, b in branches.items()},
        branch_settings={name: spelled(node) for name, node in branches.items()},
        branch_levels=None if levels is None else tuple(levels),
        replicate=settings["replicate"],
        levels=level_count(settings["levels"], schedule),
    )


def spelled(node: dict[str, Any]) -> str:
    """Return a component and its settings in words: shuffle scope=layerwise."""
    return " ".join([str(node["name"]), *(f"{k}={v}" for k, v in node.items() if k != "name")])


def check_sanity(prune: dict[str, Any]) -> None:
    """Raise UsageError where shuffled single weights are no control for what is pruned."""
    for column, plain in (("structure", "weight"), ("update", "static")):
        if prune[column]["name"] != plain:
            raise UsageError(
                f"sanity: its controls permute single weights of a mask that stays, which says "
                f"nothing of prune/{column}={prune[column]['name']}; type sanity=false"
            )


def check_numbers(settings: dict[str, Any]) -> None:
    """Raise UsageError for numbers outside their range, and for any that is not finite."""
    train = settings["train"]
    at_least("train.batch_size", train["batch_size"], 1)
    at_least("prune.rounds", settings["prune"]["rounds"], 1)
    at_least("replicate", settings["replicate"], 0)
    at_least("levels", settings["levels"] or 0, 0)
    at_least("host.threads", settings["host"]["threads"] or 1, 1)
    if settings["host"]["threads"] == 0:
        raise UsageError("host.threads: 0 is below 1; null leaves the choice to torch")
    if train["slimming"] < 0:
        raise UsageError(f"train.slimming: {train['slimming']} is below 0; a penalty is not")
    if train["clip"] is not None and train["clip"] <= 0:
        raise UsageError(f"train.clip: {train['clip']} is no norm; give one above 0, or null")
    if not 0 <= train["label_smoothing"] < 1:
        raise UsageError(f"train.label_smoothing: {train['label_smoothing']} is outside 0 to 1")
    for where, value in leaves(settings, ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{where}: {value} is no finite number")


def leaves(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield every value of a config with its dotted name."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f"{where}.{key}" if where else str(key))
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, where)
    else:
        yield where, node


def choose(where: str, value: str, words: tuple[str, ...]) -> None:
    """Raise UsageError unless `value` is one of `words`."""
    if value not in words:
        raise UsageError(f"{where}: '{value}' is none of {', '.join(words)}{near(value, words)}")


def at_least(where: str, value: int, least: int) -> None:
    """Raise UsageError unless `value` is `least` or more."""
    if value < least:
        raise UsageError(f"{where}: {value} is below {least}")
