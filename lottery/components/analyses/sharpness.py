import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lottery.errors import UsageError
from lottery.terms.analysis import Finished, Rows

Product = Callable[[Tensor], Tensor]  # a vector -> the Hessian times it
SMALL = 1e-10  # of the first direction's length: what is left of a space that is spanned


def sharpness(
    level: Finished, *, eigenvalues: int, iterations: int, probes: int, examples: int, batch: int
) -> Rows:
    """Return the largest eigenvalues and the trace of the Hessian of the training loss.

    At the end of training, in evaluation mode, over the weights that the ticket keeps and all other
    parameters, as the mean over `examples` training examples (0 = all), `batch` at a time.
    Eigenvalues by Lanczos with full reorthogonalisation from a random direction, `iterations`
    Hessian-vector products (Pearlmutter 1994); the trace by Hutchinson's estimate of `probes`
    vectors of signs, with its standard error. Raises UsageError for numbers below 1, of probes and
    examples below 0.
    """
    least = {"eigenvalues": 1, "iterations": 1, "batch": 1, "probes": 0, "examples": 0}
    given = (eigenvalues, iterations, batch, probes, examples)
    for (name, low), value in zip(least.items(), given, strict=True):
        if value < low:
            raise UsageError(
                f"analyses.sharpness.{name}={value} is below {low}; type "
                f"analyses.sharpness.{name}=20"
            )
    level.advance(f"{iterations} and {probes} products with the Hessian")
    product, kept = hessian(level, examples, batch)
    draw = level.draw("lanczos")
    found = lanczos(product, kept, iterations, draw)
    top = found[:eigenvalues] + [math.nan] * (eigenvalues - len(found))
    row = {f"eigenvalue_{n}": value for n, value in enumerate(top, 1)}
    row |= {"lowest_eigenvalue": found[-1], "parameters": int(kept.sum())}
    traces = [hutchinson(product, kept, level.draw("trace", n)) for n in range(probes)]
    if traces:
        each = torch.tensor(traces, dtype=torch.float64)
        row["trace"] = float(each.mean())
        row["trace_se"] = float(each.std() / math.sqrt(probes)) if probes > 1 else math.nan
    return {"": [row]}


def hessian(level: Finished, examples: int, batch: int) -> tuple[Product, Tensor]:
    """Return what multiplies with the Hessian, and which parameters are no pruned weight.

    Vectors have an entry a parameter, on the CPU, in float64; pruned weights count as constants.
    """
    net, task, mask = level.net(level.end.weights), level.task, level.mask
    named = {name: p for name, p in net.named_parameters() if p.requires_grad}
    keep = [mask.get(name, torch.ones_like(p, dtype=torch.bool)) for name, p in named.items()]
    kept = torch.cat([part.cpu().flatten() for part in keep])
    batches = task.scoring_batches(level.draw("examples"), size=examples, batch=batch)
    whole = sum(task.weight(each) for each in batches)
    parameters = list(named.values())

    def product(vector: Tensor) -> Tensor:
        parts = pieces(vector, parameters)
        total = [torch.zeros_like(p) for p in parameters]
        for each in batches:
            with twice_derived():
                loss = task.loss(net, each) * (task.weight(each) / whole)
                slopes = torch.autograd.grad(
                    loss, parameters, create_graph=True, allow_unused=True
                )
                along = [(s * v).sum() for s, v in zip(slopes, parts, strict=True) if s is not None]
                inner = torch.stack(along).sum()
                if not inner.requires_grad:  # a loss that is linear in the parameters
                    continue
                found = torch.autograd.grad(inner, parameters, allow_unused=True)
            total = [t if f is None else t + f for t, f in zip(total, found, strict=True)]
        flat = torch.cat([t.detach().flatten() for t in total]).cpu().double()
        return flat * kept

    return product, kept


@contextmanager
def twice_derived() -> Iterator[None]:
    """Let attention and recurrent layers take ways that have second derivatives."""
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield


def pieces(vector: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Return a long vector cut into tensors like the parameters."""
    parts = torch.split(vector, [p.numel() for p in parameters])
    return [part.view_as(p).to(p) for part, p in zip(parts, parameters, strict=True)]


def lanczos(
    product: Product, kept: Tensor, iterations: int, draw: torch.Generator
) -> list[float]:
    """Return estimates of eigenvalues, the largest first; exact where they span the space."""
    size = int(kept.sum())
    vector = torch.randn(len(kept), generator=draw, dtype=torch.float64) * kept
    basis = [vector / vector.norm()]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for _ in range(min(iterations, size)):
        made = product(basis[-1])
        diagonal.append(basis[-1] @ made)
        every = torch.stack(basis)
        for _ in range(2):  # once leaves what rounding brings back
            made = made - every.T @ (every @ made)
        length = made.norm()
        if length <= SMALL * max(1.0, float(diagonal[0].abs())):
            break
        beside.append(length)
        basis.append(made / length)
    matrix = torch.diag(torch.stack(diagonal))
    if len(diagonal) > 1:
        off = torch.stack(beside[: len(diagonal) - 1])
        matrix += torch.diag(off, 1) + torch.diag(off, -1)
    return torch.linalg.eigvalsh(matrix).flip(0).tolist()  # type: ignore[no-any-return]


def hutchinson(product: Product, kept: Tensor, draw: torch.Generator) -> float:
    """Return an estimate of the trace by one vector of signs."""
    signs = (torch.randint(0, 2, (len(kept),), generator=draw) * 2 - 1).double() * kept
    return float(signs @ product(signs))
