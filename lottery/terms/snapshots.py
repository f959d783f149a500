"""Turn a state of training into tensors for one file, and back."""

from torch import Tensor

from lottery.terms import mask as masks
from lottery.terms.step import Step
from lottery.terms.ticket import State


def pack(state: State) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return a state as tensors for one file, and what to say about them."""
    tensors = {f"weights/{k}": v for k, v in state.weights.items()}
    tensors |= {f"optimizer/{k}": v for k, v in (state.optimizer or {}).items()}
    tensors |= {f"task/{k}": v for k, v in state.memory.items()}
    tensors |= {f"mask/{k}": v for k, v in masks.pack(state.mask or {}).items()}
    return tensors, {"step": state.step.iteration}


def unpack(tensors: dict[str, Tensor], step: Step) -> State:
    """Undo `pack`."""
    groups: dict[str, dict[str, Tensor]] = {
        "weights": {}, "optimizer": {}, "mask": {}, "task": {},
    }  # fmt: skip
    for key, value in tensors.items():
        group, name = key.split("/", 1)
        groups[group][name] = value
    weights = groups["weights"]
    mask = masks.unpack(groups["mask"], {name: weights[name].shape for name in groups["mask"]})
    return State(step, weights, groups["optimizer"], mask or None, groups["task"])


def state_file(iteration: int) -> str:
    """Return the file name of the state at a step."""
    return f"{iteration}it.safetensors"


def step_of(name: str) -> int:
    """Undo `state_file`."""
    return int(name.removesuffix("it.safetensors"))
