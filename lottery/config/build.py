"""Read a config as data, and turn it into bound parts; find conf/."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import OmegaConf

from lottery.config.bind import bind, code_of, of_several
from lottery.config.defaults import composed, file_of, names_in, parts_of
from lottery.config.defaults import conf_dir as conf_dir
from lottery.config.identity import ADDED, identity, normalised, of_content, recipe_of
from lottery.config.interpolation import plain as plain
from lottery.errors import UsageError
from lottery.wording.spelling import suggestion
from lottery.wording.text import without_password

if TYPE_CHECKING:
    from lottery.terms.parts import Parts, Pruning

COLUMNS = ("criterion", "structure", "allocation", "update")  # of the method table, components
SANITY = ("shuffle", "reinit", "random")  # what `sanity=true` trains beside each level
DEFAULT_LEVELS = 5
MOST_LEVELS = 100  # of levels_until, where a schedule has no end
LONGEST_LIST = 1_000  # levels after which a schedule counts as endless


def text(settings: dict[str, Any]) -> str:
    """Return a config as YAML."""
    return OmegaConf.to_yaml(settings)


def branch(name: str) -> dict[str, Any]:
    """Return the settings of a branch as its yaml gives them; raises UsageError for no such."""
    return option("branch", name)


def option(group: str, name: str) -> dict[str, Any]:
    """Return the settings of an option of a group, as its yaml gives them; raises UsageError."""
    if (path := file_of(group, name)) is None:
        known = names_in(group)
        hint = suggestion(name, known)
        raise UsageError(f"{group}: there is no '{name}'{hint} (there are: {', '.join(known)})")
    node = OmegaConf.load(path)
    return OmegaConf.to_container(node)  # type: ignore[return-value]


def level_count(
    asked: int | None, schedule: Callable[[int], float], usual: int = DEFAULT_LEVELS
) -> int:
    """Return the pruned levels of a run: as asked, else all that are listed, else `usual`."""
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
    return usual if asked is None else asked


def parts(settings: dict[str, Any]) -> Parts:
    """Return the bound parts of a run; any name or setting that is wrong dies here."""
    from lottery.terms.parts import Parts, Recipe
    from lottery.terms.until import until

    train, prune = settings["train"], settings["prune"]
    choose("train.precision", train["precision"], ("fp32", "bf16"))
    choose("train.channels_last", train["channels_last"], ("auto", "yes", "no"))
    choose("train.on_nan", train["on_nan"], ("stop", "rollback", "ignore"))
    choose("host.progress", settings["host"]["progress"], ("auto", "bar", "lines", "none"))
    check_numbers(settings)
    check_secrets(settings)
    recipe = Recipe(
        **{
            **train,
            "optimizer": optimizer(train["optimizer"]),
            "lr": bind("lr", train["lr"], "train.lr"),
        },
        evaluate_every=settings["evaluate_every"],
        settings=recipe_of(settings),
    )
    pruning = row(prune)
    if settings["sanity"]:
        check_sanity(prune)
    added = {name: branch(name) for name in SANITY} if settings["sanity"] else {}
    branches = added | settings["branches"]
    schedule = bind("schedule", settings["schedule"], "schedule")
    levels, asked = settings["branch_levels"], settings.get("analysis_levels")
    analyses = settings.get("analyses") or {}  # runs from before have none
    refuse_several(analyses, settings.get("name"))
    ends = until(settings.get("levels_until"))
    usual = MOST_LEVELS if ends else DEFAULT_LEVELS
    return Parts(
        model=bind("model", settings["model"], "model"),
        model_settings=normalised(of_content(settings["model"])),
        dataset=bind("dataset", settings["dataset"], "dataset"),
        dataset_name=str(settings["dataset"]["name"]),
        recipe=recipe,
        pruning=pruning,
        schedule=schedule,
        rewind=bind("rewind", settings["rewind"], "rewind"),
        start=bind("start", start_of(settings), "start"),
        branches={n: bind("branch", b, f"branches.{n}") for n, b in branches.items()},
        branch_settings={name: spelled(node) for name, node in branches.items()},
        branch_levels=None if levels is None else tuple(levels),
        analyses={n: bind("analysis", a, f"analyses.{n}") for n, a in analyses.items()},
        analysis_settings={name: spelled(node) for name, node in analyses.items()},
        analysis_levels=None if asked is None else tuple(asked),
        replicate=settings["replicate"],
        levels=level_count(settings["levels"], schedule, usual),
        code=code(settings, branches, analyses),
        until=ends,
    )


def row(node: dict[str, Any], where: str = "prune") -> Pruning:
    """Return the bound row of the table of methods that a config's node says."""
    from lottery.terms.parts import Pruning

    choose(f"{where}.path", node["path"], ("exponential", "linear"))
    at_least(f"{where}.rounds", node["rounds"], 1)
    return Pruning(
        **{
            **node,
            "include": tuple(node["include"]),
            "exclude": tuple(node["exclude"]),
            **{k: bind(k, node[k], f"{where}.{k}") for k in COLUMNS},
            "update_settings": normalised(node["update"]),
            "at": moment(node["at"]),
        }
    )


def method(words: str) -> Pruning:
    """Return the row that an option of prune makes, as it is or changed: synflow+rounds:1.

    Hydra reads such a word without quotes. Raises UsageError for no such option, setting or value.
    """
    name, *changes = words.split("+")
    option("prune", name)
    node = OmegaConf.create(composed({"prune": name, **parts_of("prune", name)})["prune"])
    for change in changes:
        key, colon, value = change.partition(":")
        if not colon or OmegaConf.select(node, key) is None:
            known = ", ".join(str(k) for k in node)
            raise UsageError(
                f"prune={name}: it has no setting '{change}' (there are: {known}); type them as in "
                f"{name}+rounds:1"
            )
        OmegaConf.update(node, key, yaml.safe_load(value))
    return row(OmegaConf.to_container(node), f"prune={name}: prune")  # type: ignore[arg-type]


def refuse_several(analyses: dict[str, dict[str, Any]], runs: str | None) -> None:
    """Raise UsageError for an analysis that a single run cannot be asked."""
    for name, node in analyses.items():
        if "name" in node and of_several(node):
            raise UsageError(
                f"analysis={name} is asked of the levels of several runs, and a run looks at no "
                f"other: take it out, and once they are there type: lottery analyze "
                f"{runs or 'RUN...'} analysis={name}"
            )


def start_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what a config says of its start, those from before there was a choice included."""
    return settings.get("start") or ADDED["start"]  # type: ignore[no-any-return]


def moment(at: Any) -> Any:
    """Return the step that is scored, as it is typed, or the bound rule that finds it."""
    if at in names_in("prune/at"):
        raise UsageError(f"prune.at={at}: a rule is chosen, as an option; type prune/at={at}")
    return bind("moment", at, "prune.at") if isinstance(at, dict) else at


def optimizer(node: dict[str, Any]) -> Callable[..., Any]:
    """Return the bound optimizer; what a group of parameters sets is checked like its settings."""
    groups = node.get("groups")
    if not isinstance(groups, dict | None):
        raise UsageError(
            f"train.optimizer.groups: {groups!r} is no pattern with settings; type, say, "
            f"train.optimizer.groups.{groups}.lr=0.01"
        )
    for pattern, own in groups.items() if isinstance(groups, dict) else ():
        where = f"train.optimizer.groups.{pattern}"
        if not isinstance(own, dict):
            raise UsageError(f"{where}: {own!r} is no setting; type {where}.lr={own}, say")
        if taken := {"name", "groups"} & own.keys():
            raise UsageError(f"{where}: a group has no '{min(taken)}' of its own; take it out")
        bind("optimizer", {**node, "groups": {}, **own}, where)
    return bind("optimizer", node, "train.optimizer")


def code(
    settings: dict[str, Any], branches: dict[str, Any], analyses: dict[str, Any]
) -> dict[str, str]:
    """Return the source hashes of the components that come from other packages, by their place."""
    train, prune = settings["train"], settings["prune"]
    nodes = {kind: settings[kind] for kind in ("model", "dataset", "schedule", "rewind")}
    nodes["start"] = start_of(settings)
    nodes |= {kind: train[kind] for kind in ("optimizer", "lr")}
    nodes |= {kind: prune[kind] for kind in COLUMNS}
    nodes |= {"moment": prune["at"]} if isinstance(prune["at"], dict) else {}
    found = {kind: code_of(kind, node["name"], kind) for kind, node in nodes.items()}
    for name, node in branches.items():
        found[f"branch {name}"] = code_of("branch", node["name"], f"branches.{name}")
    for name, node in analyses.items():
        found[f"analysis {name}"] = code_of("analysis", node["name"], f"analyses.{name}")
    return {place: sha for place, sha in found.items() if sha is not None}


def spelled(node: dict[str, Any]) -> str:
    """Return a component and its settings in words: shuffle scope=layerwise."""

    def said(value: Any) -> str:
        return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)

    words = (f"{k}={said(v)}" for k, v in node.items() if k != "name")
    return " ".join([str(node["name"]), *words])


def check_sanity(prune: dict[str, Any]) -> None:
    """Raise UsageError where masks at other places are no control for what is pruned."""
    if prune["update"]["name"] != "static":
        raise UsageError(
            "sanity: its controls permute a mask that stays, which says nothing of "
            f"prune/update={prune['update']['name']}; type sanity=false"
        )


def check_numbers(settings: dict[str, Any]) -> None:
    """Raise UsageError for numbers outside their range, and for any that is not finite."""
    train = settings["train"]
    at_least("train.batch_size", train["batch_size"], 1)
    at_least("replicate", settings["replicate"], 0)
    at_least("levels", settings["levels"] or 0, 0)
    check_host(settings["host"])
    if train["slimming"] < 0:
        raise UsageError(
            f"train.slimming: {train['slimming']} is below 0; a penalty is not; type 0 or 1e-4"
        )
    if train["clip"] is not None and train["clip"] <= 0:
        raise UsageError(f"train.clip: {train['clip']} is no norm; give one above 0, or null")
    if not 0 <= train["label_smoothing"] < 1:
        raise UsageError(
            f"train.label_smoothing: {train['label_smoothing']} is outside 0 to "
            "1; type train.label_smoothing=0.1"
        )
    for where, value in leaves(settings, ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{where}: {value} is no finite number")


def check_secrets(settings: dict[str, Any]) -> None:
    """Raise UsageError for an address with its password in a setting that a run is known by.

    It would stand in config.yaml, in every record and in the run's id. Other settings are kept
    without theirs.
    """
    for where, value in leaves(identity(settings), ""):
        if isinstance(value, str) and without_password(value) != value:
            raise UsageError(
                f"{where}: {without_password(value)}: a run keeps what it is known by, so no "
                "password can be part of it; type the address without, and let the component read "
                "the password from the environment"
            )


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
        hint = suggestion(value, words)
        raise UsageError(f"{where}: '{value}' is none of {', '.join(words)}{hint}")


def check_host(host: dict[str, Any]) -> None:
    """Raise UsageError for settings of a machine, and of the jobs on it, that cannot be.

    Runs from before may lack some.
    """
    given = host.get("workers", 1)
    asked = given if isinstance(given, str) else json.dumps(given)
    number = asked.isdigit() and int(asked) > 0
    if not (number or asked == "auto" or asked.partition(":")[0] == "ray"):
        raise UsageError(
            f"host.workers={asked}: type a number of processes, auto, or ray[:ADDRESS]"
        )
    for key, instead in (("threads", "torch"), ("threads_per_job", "the number of workers")):
        if (count := host.get(key)) is not None and count < 1:
            raise UsageError(f"host.{key}: {count} is below 1; null leaves the choice to {instead}")
    at_least("host.retries", host.get("retries", 0), 0)
    share = host.get("gpus_per_job")
    if share is not None and not (0 <= share <= 1 or (share > 0 and share % 1 == 0)):
        raise UsageError(
            f"host.gpus_per_job={share:g}: type a share of one GPU, as 0.5, or a number of GPUs"
        )


def at_least(where: str, value: float, least: int) -> None:
    """Raise UsageError unless `value` is `least` or more."""
    if value < least:
        raise UsageError(f"{where}: {value} is below {least}")
