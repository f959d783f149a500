"""The nets of conf/model, told apart by what they ask a task for."""

import inspect
from pathlib import Path

import yaml

from lottery.config import bind, build
from lottery.terms.task import Shaped


def of_images() -> list[Path]:
    """Return the yaml files of the models that take images."""
    found = []
    for path in sorted((build.conf_dir() / "model").glob("*.yaml")):
        function = bind.find("model", yaml.safe_load(path.read_text())["name"], "model")
        if inspect.signature(function).parameters["task"].annotation is Shaped:
            found.append(path)
    return found
