"""Tables of truth, which many small nets learn side by side; each solves its table or does not."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms import seeds
from lottery.terms.metric import Metric
from lottery.terms.task import Picks

Batch = tuple[Tensor, Tensor]  # float32 [B, features], float32 [B] of 0 and 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """A whole table of truth, which is training, validation and test at once: there is no more.

    A net gives a score [B, nets] of each of its nets. The loss of training is the sum over nets of
    their mean cross-entropies, so that none of them feels the others.
    """

    world: ClassVar[str] = "logic"
    chance: ClassVar[float] = 0.0  # of a net that knows nothing

    points: Tensor  # float32 [N, features]
    answers: Tensor  # float32 [N]
    nets: int
    below: float  # a net has solved its table where the loss of every point is below
    passes: int  # over the table, that count as an epoch
    device: torch.device = torch.device("cpu")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The shares of nets that solve the table, and that have every point on its side."""
        return tuple(
            Metric(name, unit="share", tolerance=0.01, trials=self.nets)
            for name in ("solved", "solved_boundary")
        )

    @property
    def features(self) -> int:
        return self.points.shape[1]

    @property
    def steps_per_epoch(self) -> int:
        return self.passes

    @property
    def fingerprint(self) -> str:
        table = [self.points.tolist(), self.answers.tolist()]
        said = repr([table, self.nets, self.below, self.passes])
        return hashlib.sha256(said.encode()).hexdigest()

    def size(self, split: str) -> int:
        times = {"train": self.passes, "val": 1, "test": 1}
        return len(self.answers) * times.get(split, 0)

    def prepare(self, *, batch_size: int, device: torch.device) -> Self:
        if batch_size != len(self.answers):
            raise UsageError(
                f"train.batch_size: every step sees the whole table; type "
                f"train.batch_size={len(self.answers)}"
            )
        points, answers = self.points.to(device), self.answers.to(device)
        return replace(self, points=points, answers=answers, device=device)

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        for _ in range(start, self.passes if split == "train" else 1):
            yield self.points, self.answers

    def losses(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Return the cross-entropy of each point and net, [B, nets]."""
        points, answers = batch
        scores = model(points) / temperature
        wanted = answers.unsqueeze(1).expand_as(scores)
        return F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")

    def loss(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
        return self.losses(model, batch, temperature).mean(0).sum()

    @torch.no_grad()
    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return the mean cross-entropy of all nets, and the shares that solve the table."""
        was_training = model.training
        model.eval()
        losses = self.losses(model, (self.points, self.answers))
        model.train(was_training)
        worst = losses.amax(0)
        on_its_side = worst < torch.log(worst.new_tensor(2.0))  # a probability above a half
        return {
            "loss": float(losses.double().mean()),
            "solved": int((worst < self.below).sum()) / self.nets,
            "solved_boundary": int(on_its_side.sum()) / self.nets,
        }

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return the table, whatever is asked of it."""
        return [(self.points, self.answers)]

    def count(self, batch: Batch) -> int:
        return len(batch[1])

    def weight(self, batch: Batch) -> int:
        return len(batch[1])

    def cut(self, batch: Batch, start: int, stop: int) -> Batch:
        return batch[0][start:stop], batch[1][start:stop]

    def inputs(self, batch: Batch) -> tuple[Tensor]:
        return (batch[0],)

    def example(self, number: int) -> Batch:
        draw = seeds.generator("example")
        points = torch.randn(number, self.features, generator=draw)
        return points.to(self.device), (torch.arange(number) % 2).float().to(self.device)


def truth(answer: Any, features: int, **settings: Any) -> Truth:
    """Return the table of a function of so many bits, each point a row of 0 and 1."""
    points = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * features)
    answers = torch.tensor([float(answer(*map(int, row))) for row in points])
    return Truth(points=points, answers=answers, **settings)
