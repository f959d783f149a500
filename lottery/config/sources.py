"""Where configs come from: conf/ and the folders of the user's, read as data and as nothing else.

Hydra puts them together, and is asked for no more: what a config could have it do besides
(callbacks, launchers, handlers of logs, folders, search paths) is refused by name.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra import __version__, version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lottery.config import packages
from lottery.config.build import conf_dir
from lottery.config.defaults import LISTS, NEEDED
from lottery.config.schema import Config
from lottery.errors import UsageError
from lottery.storage.yamls import decoded
from lottery.wording.text import first_line, near, printable

TAKEN = "hydra.sweeper.params"
KINDS = (["launcher"], ["sweeper"])  # groups of hydra's of which `basic` may be named
INSTEAD = {  # what people ask of hydra -> what to type
    "launcher": "it cannot report failures; type host.workers=2 (with -m) for two runs at a time",
    "sweeper": "a run gives it no number to optimise; type lottery search space.KEY=LOW:HIGH, or "
    "for every one of some values lottery run -m KEY=A,B",
    "mode": "type -m for a sweep",
    "run": "type outputs=DIR",
    "sweep": "type outputs=DIR",
    "output_subdir": "type outputs=DIR",
    "searchpath": "type --config-dir DIR",
    "verbose": "type -v",
}
OWN = ("hydra", "skeleton")  # configs that no folder brings
BROUGHT = "package "  # who says so, of a folder that an installed package brings
EVERY = (*NEEDED, "host")  # groups of which a config has one option each
LARGEST = 1_000_000  # bytes of a yaml file


def refuse(named: str, part: str, where: str) -> NoReturn:
    """Raise UsageError for a part of hydra's config; `named` is how it is written there."""
    said = INSTEAD.get(part, f"a config runs no code, and of hydra's settings {TAKEN} alone counts")
    raise UsageError(f"{where}: {printable(named)} is not supported: {said}")


def refuse_broken(option: str) -> None:
    """Raise UsageError for a typed option of a plugin of hydra's that cannot be imported.

    It is tried in a process of its own, since it may do anything.
    """
    found = {
        path.stem
        for folder in sys.path
        for path in Path(folder or ".", "hydra_plugins").glob("*")
        if option in path.stem.split("_") and path.stem.isidentifier()
    }
    for name in sorted(found):
        done = subprocess.run(  # noqa: S603 (a name of Python's)
            [sys.executable, "-c", f"import hydra_plugins.{name}"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            why = (done.stderr.decode(errors="replace").strip().splitlines() or ["it ends"])[-1]
            raise UsageError(
                f"config: the hydra plugin {name} cannot be imported ({printable(why)}); "
                f"pip uninstall {name.replace('_', '-')}"
            )


def refuse_words(words: Iterable[Override]) -> None:
    """Raise UsageError for overrides that ask hydra for more than TAKEN."""
    for word in words:
        path, package = parts(word.key_or_group), parts(word.package or "")
        written = str(word.input_line)
        if package[:1] == ["hydra"]:
            refuse(written, "", "config")
        if path[:1] != ["hydra"]:
            continue
        if "/" in word.key_or_group and path[:3] != TAKEN.split("."):
            if path[1:] not in KINDS or word.value() != "basic":
                if path[1:] in KINDS:
                    refuse_broken(str(word.value()))
                refuse(written, (path + [""])[1], "config")
            continue
        node: Any = {} if word.is_delete() else word.value()
        for part in reversed(path[1:]):
            node = {part: node}
        if (word.is_delete() and path[:3] != TAKEN.split(".")) or outside(node):
            refuse(written, (path + [""])[1] if path[1:2] not in KINDS else "", "config")


def swept(words: Iterable[Override], preset: dict[str, Any]) -> dict[str, Any]:
    """Return what a config sweeps as words change it: hydra itself can add none to none."""
    found = dict(preset)
    for word in words:
        key = word.key_or_group.removeprefix(TAKEN).lstrip(".")
        if word.key_or_group.startswith(TAKEN) and key:
            found[key] = word.get_value_string() if word.is_sweep_override() else word.value()
            if word.is_delete():
                del found[key]
            continue
        node: Any = None if word.is_delete() else word.value()
        for part in TAKEN.split(".")[len(parts(word.key_or_group)) :]:
            node = (node or {}).get(part)
        found = found | (node or {}) if not word.is_delete() else {}
    return found


def outside(node: Any) -> list[str]:
    """Return the path of the first setting of hydra's in its config that is not TAKEN."""
    path: list[str] = []
    for part in TAKEN.split(".")[1:]:
        if not isinstance(node, (dict, DictConfig)):
            return path or ["value"]
        for key in node:
            if key != part:
                return [*path, str(key)]
        if part not in node:
            return []
        path.append(part)
        node = node[part] if isinstance(node, dict) else node._get_node(part)
    empty = node is None or (isinstance(node, DictConfig) and node._is_none())
    return [] if empty or isinstance(node, (dict, DictConfig)) else path


def of_a_sweep(word: Override) -> bool:
    """Say whether a word is about TAKEN."""
    return word.key_or_group.split(".")[0] == "hydra"


def parts(name: str) -> list[str]:
    """Return the words of a dotted name, a group or a package, from the top of the config on."""
    return [p for p in re.split(r"[./:@\[\] ]+", name) if p and p != "_global_"]


class Folder(FileConfigSource):
    """A folder of yaml files, each looked at before hydra sees it."""

    def is_group(self, config_path: str) -> bool:
        """Say whether there is such a folder in it."""
        return inside(config_path) and super().is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        """Say whether there is such a file in it."""
        return inside(config_path) and super().is_config(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        """Return what a file says; raises UsageError, with its name, for more than data."""
        name = self._normalize_file_name(config_path)
        path = Path(self.path) / name
        where = near(path)
        if self.provider.startswith(BROUGHT):
            refuse_twice(name)
        elif "/" in name and (hidden := packages.bringing(name)):
            say_hidden(name, where, hidden[0].name)
        try:
            data = path.read_bytes()
            if len(data) > LARGEST:
                raise ValueError(f"it is larger than {LARGEST // 1_000_000} MB")
            written = decoded(data)
            header = self._get_header_dict(written[:512])
            found = loaded(written)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or " ".join(str(error).split())
            raise UsageError(f"{where}{line}: this is no YAML ({printable(problem)})") from None
        except (ValueError, OmegaConfBaseException) as error:
            raise UsageError(f"{where}: {first_line(error)}") from None
        refuse_settings(found, header["package"] or "", where)
        open_(found)
        return ConfigResult(self.provider, self.full_path(), found, header)


def refuse_twice(name: str) -> None:
    """Raise UsageError for an option that two packages bring: nobody can tell which is meant."""
    if len(brought := packages.bringing(name)) > 1:
        option, there = name.removesuffix(".yaml").replace("/", "="), [p.name for p in brought]
        raise UsageError(
            f"config: {printable(option)} is brought by the packages {' and '.join(there)}; "
            f"uninstall one of them: pip uninstall {there[-1]}"
        )


@functools.cache
def say_hidden(name: str, where: str, package: str) -> None:
    """Say, once a process, that an option of a package is not the one that its name chooses."""
    option = name.removesuffix(".yaml").replace("/", "=")
    print(
        f"lottery: warning: config: {printable(option)} is {where}; that of the package {package} "
        "is not used, as ours and those of --config-dir come first: give it a name of its own",
        file=sys.stderr,
    )


def inside(config_path: str) -> bool:
    """Say whether the name of a config stays in its folder, and may come from one."""
    names = config_path.split("/")
    return names[0] not in OWN and ".." not in names and not config_path.startswith("/")


def loaded(written: str) -> DictConfig:
    """Return the settings of a yaml file; raises ValueError where it holds none."""
    try:
        found = OmegaConf.load(io.StringIO(written))
    except OSError:  # which OmegaConf raises for a number
        found = None
    if not isinstance(found, DictConfig):
        raise ValueError("it holds no settings, which are lines KEY: VALUE")
    return found


def open_(found: DictConfig) -> None:
    """Let settings that are an empty mapping, like rates by pattern, take any key; in place."""
    for _, node in found.items_ex(resolve=False):
        if isinstance(node, DictConfig) and node._value() == {}:
            OmegaConf.set_struct(node, False)


def refuse_settings(found: DictConfig, package: str, where: str) -> None:
    """Raise UsageError for a file that asks hydra for more than TAKEN."""
    if parts(package)[:1] == ["hydra"]:
        refuse(f"@package {package}", (parts(package) + [""])[1], where)
    if "hydra" in found and (path := outside(found._get_node("hydra"))):
        refuse(".".join(["hydra", *path]), path[0] if path[:1] not in KINDS else "", where)
    defaults = found._get_node("defaults")
    for entry in defaults._iter_ex(resolve=False) if isinstance(defaults, ListConfig) else ():
        lines = entry.items_ex(resolve=False) if isinstance(entry, DictConfig) else [(entry, None)]
        for key, value in lines:
            group, _, own = str(key).rpartition(" ")[2].partition("@")
            path = parts(group)
            if parts(own)[:1] == ["hydra"] or (
                path[:1] == ["hydra"] and (path[1:] not in KINDS or str(value) != "basic")
            ):
                said = f"{key!s}: {value}" if isinstance(entry, DictConfig) else str(key)
                refuse(f"'{said}' among its defaults", (path + [""])[1], where)


class Loader(ConfigLoaderImpl):
    """Hydra's composition, which looks at every word first.

    The jobs of a `sweep` share what was read, and what the same files come to before any setting.
    """

    def __init__(self, path: ConfigSearchPath, sweep: bool) -> None:
        super().__init__(path)
        self.sweep = sweep
        self.read: dict[str, ConfigResult | None] = {}
        self.merged: dict[str, DictConfig] = {}

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Return the config that overrides describe, hydra's own part with it."""
        words = self.look(overrides)
        return super().load_configuration(
            config_name, words, run_mode, from_shell, validate_sweep_overrides
        )

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        words = OverridesParser.create().parse_overrides(overrides)
        repository = CachingConfigRepository(self.repository)
        if self.sweep:
            repository.cache = self.read
        self._process_config_searchpath(config_name, words, repository)
        return words, repository

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        if not self.sweep:
            return super()._compose_config_from_defaults_list(defaults, repo)
        key = repr([(d.config_path, d.package, d.is_self, d.primary) for d in defaults])
        if key not in self.merged:
            own = copy.deepcopy(repo)  # what is merged goes into what was read
            self.merged[key] = super()._compose_config_from_defaults_list(defaults, own)
        return copy.deepcopy(self.merged[key])

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        """Return the options of a group."""
        words = self.look(overrides or [])
        return super().get_group_options(group_name, results_filter, config_name, words)

    def look(self, overrides: list[str]) -> list[str]:
        """Return the words that are for hydra; raises UsageError for what it is not to do."""
        words = OverridesParser.create().parse_overrides(overrides)
        refuse_words(words)
        for word in words:
            self.look_at_choice(word)
        return [str(word.input_line) for word in words if not of_a_sweep(word)]

    def is_group(self, name: str) -> bool:
        """Say whether there is a group of options of this name."""
        return bool(name) and self.repository.group_exists(name)

    def look_at_choice(self, word: Override) -> None:
        """Raise UsageError where an option of a group is chosen by what is no name."""
        group, value = word.key_or_group, word.value()
        if word.is_delete() and group in EVERY:
            raise UsageError(f"config: ~{group} takes away what a run needs; type {group}=NAME")
        if word.is_sweep_override() or word.is_delete() or not self.is_group(group):
            return
        listed = isinstance(value, list) and group in LISTS.values()
        names = value if isinstance(value, list) and listed else [value]
        if isinstance(value, dict) or all(isinstance(name, str) and name for name in names):
            return
        several = (
            " (several in turn: -m, and commas)" if isinstance(value, list) and not listed else ""
        )
        example = f"{group}=[NAME]" if group in LISTS.values() else f"{group}=NAME"
        raise UsageError(
            f"config: {printable(word.input_line)} names no option; type {example}, or leave it "
            f"out{several} (lottery run --help lists them)"
        )


def folders(own: str | None) -> list[tuple[str, Path]]:
    """Return where yaml files are looked for, the first before the others, with who says so."""
    found = [("main", conf_dir())]
    if own is not None:
        folder = Path(own).expanduser().absolute()
        if not folder.is_dir():
            raise UsageError(f"--config-dir: there is no folder {printable(own)}")
        found.append(("command-line", folder))
    return found + [(f"{BROUGHT}{p.name}", p.folder) for p in packages.packages()]


def loader(own: str | None, sweep: bool) -> Loader:
    """Return what composes configs from conf/ and a folder of the user's."""
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    for provider, folder in folders(own):
        path.append(provider, f"file://{folder}")
    path.append("schema", "structured://")
    return Loader(path, sweep)


@contextlib.contextmanager
def hydra_alone() -> Iterator[None]:
    """Let hydra be as at its start, with no plugin but its own; then as the caller had it.

    A plugin in the environment is of no use here, so one that is broken breaks nothing.
    """
    kept, names = dict(Singleton._instances), ConfigStore.instance().repo["hydra"]
    handlers, hidden = list(logging.getLogger().handlers), sys.modules.get("hydra_plugins")
    Singleton._instances.clear()
    try:
        sys.modules["hydra_plugins"] = None  # type: ignore[assignment]
        store = ConfigStore.instance()
        store.repo["hydra"] = {k: dict(v) if isinstance(v, dict) else v for k, v in names.items()}
        store.store(name="skeleton", node=Config)
        store.store(name="_dummy_empty_config_", node={})  # what --hydra-help composes
        # 1.4 has one behaviour alone, and warns of one that is asked for
        version.setbase("1.3" if __version__.startswith("1.3.") else None)
        Plugins.instance()
        SourcesRegistry.instance().types["file"] = Folder
        yield
    finally:
        Singleton._instances.clear()
        Singleton._instances.update(kept)
        logging.getLogger().handlers[:] = handlers
        del sys.modules["hydra_plugins"]
        if hidden is not None:
            sys.modules["hydra_plugins"] = hidden
