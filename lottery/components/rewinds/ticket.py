import os
import shlex
from functools import partial
from pathlib import Path

from lottery.errors import UsageError
from lottery.exchange import finding, transfer
from lottery.exchange.tickets import Portable
from lottery.experiment.settled import OWN_STEP
from lottery.storage.replicates import replicates
from lottery.terms.step import Span, Step
from lottery.terms.ticket import State, States
from lottery.wording.text import near, printable

WANTED = (
    "give a ticket file (`lottery export` writes one), the folder of a level, or that of a run "
    "with rewind.level=3"
)


def ticket(
    states: States,
    *,
    path: str | None,
    level: int | None,
    branch: str,
    weights: str,
    output: str,
    to: str | None,
) -> tuple[State, Span]:
    """Start from the mask and the weights of a ticket that another task or another tool has made.

    Level 1 trains the ticket as it is, each later level prunes on from there. `path` is a ticket
    file, the folder of a level, or that of a run with `level` and perhaps `branch`; a folder
    NAME/ID stands for the replicate of this run's number. It is read once a run. `weights` is start
    (the rewind point) or end (after training). `output` is auto (a fresh, unpruned output layer
    where the number of classes differs, as in Morcos et al. 2019, "One ticket to win them all"),
    fresh or ticket; of a net of transformers that another task gave another head the encoder is
    taken, unless it is ticket. `to` is the step of this run's schedule to start from; None is the
    ticket's own where it is of the same data, steps an epoch and length, else step 0, with a
    warning (trained weights: step 0). Raises UsageError for a ticket of another model, or of images
    of other channels, DamagedError for one whose checksum is wrong.
    """
    if path is None:
        raise UsageError(f"rewind.path: {WANTED}")
    place = Path(path).expanduser()
    refuse_other(place, level)
    read = partial(finding.find, place, level, branch, weights, states.replicate)
    found = states.once("ticket", read)
    own = states("0it").weights
    values, mask = transfer.fitted(
        found, own, output, place, states.heads, states.names, behind=states.behind
    )
    start = states.once(OWN_STEP, partial(first, found, states)) if to is None else states.step(to)
    return State(start, values, mask=mask), Span(start.iteration, states.length.iteration)


def refuse_other(place: Path, level: int | None) -> None:
    """Raise UsageError for the name of a run, a run of no level, and for what is not there."""
    runs = replicates(place)
    taken = runs and place.is_dir() and place in (runs[0], runs[0].parent)
    if runs and not (taken and level is not None):
        typed = near(place if taken else runs[0])
        raise UsageError(
            f"rewind.path: {printable(place)} is a run, where one of its levels is wanted; type "
            f"rewind.path={shlex.quote(typed)} rewind.level=-1, which is its last"
        )
    if not os.path.lexists(place):
        gone = "cannot be read, as it is not there"
        raise UsageError(f"rewind.path: {printable(place)} {gone}; {WANTED}")


def first(found: Portable, states: States) -> Step:
    """Return the step that a ticket starts from by itself; warn where that is not its own."""
    start, why = transfer.beginning(found.about, states.length, states.data)
    if why:
        states.warn(why)
    return start
