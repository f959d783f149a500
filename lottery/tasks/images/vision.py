"""Open torchvision when it is needed, beside any build of torch."""

import importlib
from types import ModuleType
from typing import Any

import torch

from lottery.errors import UsageError

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
