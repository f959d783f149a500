"""Pick the device to compute on."""

import torch

from lottery.errors import UsageError
from lottery.wording.text import first_line


def pick_device(name: str) -> torch.device:
    """Return the device that `name` asks for; raises UsageError where it is not to be had."""
    if name == "auto":
        name = (
            "cuda"
            if torch.cuda.is_available()
            else ("mps" if torch.backends.mps.is_available() else "cpu")
        )
    try:
        device = torch.device(name)
        float(torch.zeros(1, device=device))  # "meta" makes tensors that hold nothing
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"host.device: '{name}' cannot be used here ({first_line(error)}); write auto or cpu"
        ) from error
    return device
