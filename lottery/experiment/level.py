"""Hold a level: a ticket, and what was trained from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from lottery.errors import DamagedError
from lottery.experiment.run import Run
from lottery.storage import disk
from lottery.storage.checkpoints import Checkpoints
from lottery.storage.store import Shelf
from lottery.terms.due import Pause
from lottery.terms.kept import mask_of, ticket_on, understood
from lottery.terms.mask import Mask
from lottery.terms.snapshots import pack, state_file, step_of, unpack
from lottery.terms.step import Step
from lottery.terms.ticket import State, Ticket
from lottery.training.start import prepare
from lottery.training.train import replay


@dataclass(frozen=True)
class Level:
    """A trained level: a place in the store, read as needed."""

    run: Run
    index: int
    shelf: Shelf

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return self.shelf.manifest()

    @cached_property
    def ticket(self) -> Ticket:
        ticket = ticket_on(self.shelf)
        check_fits(self.run, self.shelf, ticket.weights)
        return ticket

    @cached_property
    def mask(self) -> Mask:
        """The mask at the end of training: the ticket's, unless it moved meanwhile."""
        return mask_of(self.shelf)

    @cached_property
    def end(self) -> State:
        return self._read("end.safetensors", Step(self.ticket.span.stop, self.steps_per_epoch))

    @property
    def steps_per_epoch(self) -> int:
        return self.run.task.steps_per_epoch

    def _read(self, name: str, step: Step) -> State:
        tensors, _ = self.shelf.read_tensors(name)
        with understood(self.shelf, name):
            state = unpack(tensors, step)
        check_fits(self.run, self.shelf, state.weights)
        return state

    def state(self, step: Step) -> State:
        """Return the state at a step; one that nobody kept is replayed from the nearest before."""
        span = self.ticket.span
        if step.iteration <= span.start:
            return State(step, self.ticket.weights, memory=self.ticket.memory)
        if step.iteration >= span.stop:
            return self.end
        name = state_file(step.iteration)
        if name not in self.shelf.manifest()["files"]:
            self.keep(step)
        try:
            return self._read(name, step)
        except DamagedError:
            if name in self.shelf.manifest()["files"]:
                raise
            return self.state(step)  # `lottery clean` has removed it just now

    def keep(self, step: Step) -> None:
        """Replay the level up to a step and add that state to the store."""
        with self.shelf.lock():
            self.shelf.sweep()
            files = self.shelf.manifest()["files"]
            name = state_file(step.iteration)
            if name in files:
                return
            kept = [step_of(f) for f in files if f.endswith("it.safetensors")]
            before = max((k for k in kept if k < step.iteration), default=None)
            nearest = None if before is None else self.state(Step(before, step.steps_per_epoch))
            run = self.run
            run.watch.say(f"level {self.index}: replaying up to step {step} (nobody kept it)")
            seed = run.data_seed(self.ticket.order)
            start = prepare(run.parts, run.task, self.ticket, seed, nearest)
            start.lowered = self.shelf.manifest()["lowered"]
            folder = self.shelf.path / f"replay-{step.iteration}"
            pause = Pause(run.checkpoint_every, step.steps_per_epoch)
            with Checkpoints(folder) as checkpoints:
                state = replay(start, step, checkpoints, pause, run.watch, run.strict)
            self.shelf.add_file(name, self.shelf.write_tensors(name, *pack(state)))
            disk.remove_folder(folder)


def check_fits(run: Run, shelf: Shelf, weights: Mapping[str, Tensor]) -> None:
    """Raise DamagedError unless these are weights of the run's model, by name, shape and type."""
    for name, own in run.initial.weights.items():
        found = weights.get(name)
        if found is None or found.shape != own.shape or found.dtype != own.dtype:
            raise shelf.damaged(shelf.path, f"its {name} is not that of this model")
    if len(weights) != len(run.initial.weights):
        raise shelf.damaged(shelf.path, "it has weights that this model has not")
