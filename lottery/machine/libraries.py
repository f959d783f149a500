"""Open libraries that are slow, that not everybody has, or that do not open by themselves."""

import importlib
import os
from types import ModuleType
from typing import Any

import torch

from lottery.errors import UsageError
from lottery.wording.text import first_line

KEPT_LIBRARIES: list[Any] = []  # a library's definitions end with it


def torchvision(module: str) -> ModuleType:
    """Import a module of torchvision, and mend the one way in which that fails.

    Its wheel registers kernels for operators that a CPU build of torch does not know
    ("operator torchvision::nms does not exist"); their schemas are defined and the import
    tried again. Raises UsageError where torchvision is not installed.
    """
    name = f"torchvision.{module}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{name} cannot be imported ({error}); pip install torchvision") from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        KEPT_LIBRARIES.append(library)
        return importlib.import_module(name)


def opened(module: str, extra: str, setting: str) -> ModuleType:
    """Import a module of an extra of this project, for a setting (model=timm).

    Torchvision is opened first, which transformers and timm import unasked, and nothing is fetched
    from a hub. Raises UsageError, one line with what to install, where the module is missing.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    torchvision("transforms")
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        absent = isinstance(error, ModuleNotFoundError)
        why = f"needs {package}" if absent else f"cannot open {package} ({first_line(error)})"
        raise UsageError(f"{setting} {why}; type: pip install 'lottery[{extra}]'") from error
