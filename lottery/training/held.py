"""Hold pruned weights at their value while a net trains: what each step does to them, in place."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lottery.terms.mask import Mask
from lottery.terms.ticket import Ticket


@dataclass(frozen=True)
class Pruned:
    """The trained layers that have pruned weights; `kept` is 1.0 and 0.0 for each weight."""

    weights: dict[str, nn.Parameter]
    kept: list[Tensor]
    held: list[Tensor]

    @classmethod
    def of(cls, model: nn.Module, mask: Mask, held: dict[str, Tensor]) -> "Pruned":
        """Return the layers of `model` whose mask is not all True and that are not frozen."""
        found = {
            name: parameter
            for name, parameter in model.named_parameters()
            if name in mask and parameter.requires_grad and not bool(mask[name].all())
        }
        kept = [mask[name].to(p.device, p.dtype) for name, p in found.items()]
        return cls(found, kept, [held[name] for name in found] if held else [])

    def mask_gradients_(self) -> None:
        """Zero the gradients of pruned weights; a weight that this step did not use has none."""
        pairs = zip(self.weights.values(), self.kept, strict=True)
        there = [(p.grad, kept) for p, kept in pairs if p.grad is not None]
        if there:
            grads, kept = zip(*there, strict=True)
            torch._foreach_mul_(grads, kept)

    @torch.no_grad()
    def restore_(self) -> None:
        """Put held weights back: weight decay moves them without a gradient."""
        if self.held:
            weights = list(self.weights.values())
            torch._foreach_mul_(weights, self.kept)  # type: ignore[arg-type]
            torch._foreach_add_(weights, self.held)  # type: ignore[arg-type]


def held_values(ticket: Ticket, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return what each pruned weight is held at, 0 where kept; {} where they are 0."""
    if not ticket.held:
        return {}
    return {
        name: ticket.weights[name].masked_fill(keep, 0.0).to(parameters[name].device)
        for name, keep in ticket.mask.items()
    }


@torch.no_grad()
def forget_pruned_(
    optimizer: torch.optim.Optimizer, weights: dict[str, nn.Parameter], mask: Mask
) -> None:
    """Set pruned weights, and all that the optimizer keeps of them, to 0.0."""
    for name, parameter in weights.items():
        gone = ~mask[name]
        parameter.masked_fill_(gone, 0.0)
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value.masked_fill_(gone, 0.0)


def bn_scales(model: nn.Module) -> list[nn.Parameter]:
    """Return the trained scales (gamma) of every BatchNorm."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    norms = [m for m in model.modules() if isinstance(m, kinds) and m.affine]
    return [m.weight for m in norms if m.weight.requires_grad]


@torch.no_grad()
def add_slimming_(scales: list[nn.Parameter], strength: float) -> None:
    """Add the gradient of `strength` * sum |gamma| (Liu et al. 2017, eq. 1), in place."""
    for scale in scales:
        if scale.grad is None:
            scale.grad = torch.zeros_like(scale)
    gradients = [s.grad for s in scales]
    signs = torch._foreach_sign(scales)  # type: ignore[arg-type]
    torch._foreach_add_(gradients, signs, alpha=strength)  # type: ignore[arg-type]
