"""Say what a level and its ticket cost: steps, examples, multiply-accumulates, time, energy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from lottery.experiment.lineage import needs
from lottery.experiment.run import Run
from lottery.experiment.settled import OTHER_INIT
from lottery.nets.counting import Forward
from lottery.pruning.effort import effort_of
from lottery.storage.store import Shelf
from lottery.terms import mask as masks
from lottery.terms.kept import understood
from lottery.terms.step import Span
from lottery.training.search import steps_in

PASSES = 3  # a backward pass takes about two forward ones: for the inputs and for the weights
MAC = 3.7 + 0.9  # picojoule: a multiplication and an addition in float32 (45 nm, 0.9 V)
WORD = 640.0  # picojoule: 32 bits from or to DRAM


@dataclass(frozen=True)
class Net:
    """A net under a mask, as one forward pass of one example sees it."""

    macs: float  # of the dense net; NaN where it could not be counted
    kept: float  # of the weights that are kept, and of what no mask reaches
    weights: int  # parameters without the pruned ones
    values: float  # of the input, and of the outputs of convolutions and linear layers


@dataclass(frozen=True)
class Cost:
    """What some training or scoring takes."""

    steps: int = 0
    examples: int = 0
    macs: float = 0
    macs_kept: float = 0
    seconds: float = 0.0
    energy: float = 0.0  # joule

    def __add__(self, other: "Cost") -> "Cost":
        names = [field.name for field in fields(self)]
        return Cost(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True)
class Trained:
    """A level or branch that is there: its net, the steps it ran, the seconds that they took."""

    net: Net
    span: Span
    seconds: float
    pace: float  # examples a second


def masked(forward: Forward, layers: Mapping[str, Mapping[str, Any]], held: bool = False) -> Net:
    """Return a net of which some weights are kept; `layers` tells how many of each layer.

    Every weight of a layer is used equally often, so the share that is left is exact. Layers that
    no mask knows count in full, and so do pruned weights that are `held` at a value.
    """
    saved: float = 0
    pruned = 0
    for name, layer in {} if held else layers.items():
        gone = layer["total"] - layer["kept"]
        saved += forward.layers[name] * gone // layer["total"]
        pruned += gone
    return Net(forward.macs, forward.macs - saved, forward.parameters - pruned, forward.values)


def spent(
    net: Net, steps: int, examples: int, seconds: float, *, batches: int = 0, gradients: float = 1
) -> Cost:
    """Return what it takes to train `steps` on `examples`, or to score them in `batches`.

    A gradient of an example takes three forward passes, its own and a backward pass of two.
    `macs_kept` is what a machine would do that skips every pruned weight, in all three. The
    energy, an estimate, is that of `macs_kept`, and of moving 32-bit words from and to DRAM: in
    each of the three passes the kept weights once a batch, and the values (input and outputs of
    convolutions and linear layers) once an example. What the optimizer does with the weights, and
    what works element by element, is left out. Figures of the 45 nm table of Horowitz 2014.
    """
    times = round(PASSES * gradients)
    words = net.weights * (steps + batches) + net.values * examples
    return Cost(
        steps=steps,
        examples=examples,
        macs=times * net.macs * examples,
        macs_kept=times * net.kept * examples,
        seconds=seconds,
        energy=times * (MAC * net.kept * examples + WORD * words) * 1e-12,
    )


def seen(run: Run, span: Span) -> int:
    """Return how many examples the steps of a span see; the last batch of an epoch may be short."""
    batch, size = run.parts.recipe.batch_size, run.task.steps_per_epoch
    epoch = min(run.task.size("train"), size * batch)

    def until(step: int) -> int:
        return step // size * epoch + min(step % size * batch, epoch)

    return until(span.stop) - until(span.start)


def part(run: Run, level: Trained, reached: int) -> Cost:
    """Return what a level took up to the step that was reached, its seconds in proportion."""
    span = Span(level.span.start, max(level.span.start, min(reached, level.span.stop)))
    steps, whole = span.stop - span.start, level.span.stop - level.span.start
    return spent(level.net, steps, seen(run, span), level.seconds * steps / whole)


def scoring(run: Run, net: Net, pace: float) -> Cost:
    """Return what it takes to score a net in all rounds; `pace` is its examples a second.

    A search (a criterion with a `length`) trains so long in every round. The others take
    gradients of the examples that their settings name. The rounds prune as they go; what they
    look at is counted as the net that the first one sees. Nobody times the scoring: its seconds
    are those of training on as many examples.
    """
    how = run.parts.pruning
    given = getattr(how.criterion, "keywords", {})
    effort = effort_of(how.criterion)
    most = run.task.size("train")
    steps = steps_in("length", given["length"], run.task) if "length" in given else 0
    looked = min(given.get("per_class", 0) * getattr(run.task, "outputs", 1), most)
    if "size" in given and not looked:
        looked = min(given["size"] or most, most)
    looked = looked or effort.examples
    batches = math.ceil(looked / (given.get("batch") or run.parts.recipe.batch_size))
    examples = seen(run, Span(0, steps)) + looked
    gradients = effort.gradients(given, masks.total(run.dense)) if examples else 1
    return spent(
        net,
        how.rounds * steps,
        how.rounds * examples,
        how.rounds * gradients * examples / pace if examples else 0.0,
        batches=how.rounds * batches,
        gradients=gradients,
    )


def columns(
    run: Run, there: Mapping[tuple[int, str], Trained], at: tuple[int, str]
) -> dict[str, Any]:
    """Return the cost of a level or branch and of its ticket, as they stand in metrics.csv.

    Its own are steps, examples, macs and macs_kept (a forward pass of one example), training_macs,
    training_macs_kept and energy (joule). The ticket's are all that had to be trained or scored to
    have it, whoever did so, and its own training. Levels count as far as they are needed, once.
    A branch needs what its level's ticket needs, and level 0 as far as the step that it starts
    from. What a rollback trains again is left out. The ticket's are left out, NaN in the tables,
    where a level that it needs is gone, and where it follows from one that was found elsewhere
    (rewind=ticket), whose search nobody counted here.
    """
    index, branch = at
    own = there.get(at)
    if own is None:
        return {}
    mine = part(run, own, own.span.stop)
    found: dict[str, Any] = {
        "steps": mine.steps,
        "examples": mine.examples,
        "macs": own.net.macs,
        "macs_kept": own.net.kept,
        "training_macs": mine.macs,
        "training_macs_kept": mine.macs_kept,
        "energy": mine.energy,
    }
    if index and run.settled.brought:
        return found
    wanted = needs(run.settled, index)
    if branch:
        wanted = wanted.also(0, own.span.start)
    if any((level, "") not in there for level in (*wanted.reached, *wanted.scored)):
        return found
    total = mine
    if branch and (steps := run.settled.other(branch)) and (0, OTHER_INIT) in there:
        total += part(run, there[0, OTHER_INIT], max(*steps, own.span.start))
    for level, step in wanted.reached.items():
        total += part(run, there[level, ""], step)
    for level in wanted.scored:
        total += scoring(run, there[level, ""].net, there[level, ""].pace)
    return found | {f"ticket_{field.name}": getattr(total, field.name) for field in fields(total)}


def trained(run: Run, shelf: Shelf, manifest: dict[str, Any], span: Span, held: bool) -> Trained:
    """Return what is known of a level or branch in the store; `held` as in a ticket."""
    with understood(shelf, "manifest.json"):
        result = manifest["result"]
        net = masked(run.forward, manifest["layers"], held)
        return Trained(net, span, float(result["seconds"]), float(result["examples_per_second"]))
