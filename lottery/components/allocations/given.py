import csv
import io
import shlex
from pathlib import Path

from lottery.errors import UsageError
from lottery.pruning.keep import apportion, keep_counts
from lottery.storage import disk
from lottery.storage.files import TABLE, read_plain
from lottery.storage.replicates import replicates
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores, some
from lottery.wording.text import near, printable

WANTED = (
    "give a CSV file with the columns layer and density, or a run: "
    "prune.allocation.path=outputs/NAME/ID/replicate_0"
)


def given(
    scores: Scores, mask: Mask, density: float, *, path: str | None, level: int | None
) -> Mask:
    """Keep of each layer the share that a table gives, and the highest scores within it.

    `path` is a CSV file with the columns layer and density, or the folder of a run, whose
    layers.csv is read; where the table has a column level, `level` picks the rows. The densities
    are scaled together so that the net keeps round(density * total); a layer never gains weights.
    Raises UsageError for a table that does not name exactly the layers of the mask.
    """
    if path is None:
        raise UsageError(f"prune.allocation.path: {WANTED}")
    densities = read(Path(path).expanduser(), level)
    names = {name.removesuffix(".weight"): name for name in mask}
    if densities.keys() != names.keys():
        odd = sorted(densities.keys() ^ names.keys())[0]
        where = "the table has" if odd in densities else "the net has"
        raise UsageError(f"prune.allocation.path: only {where} a layer '{odd}'{some(mask)}")
    shares = {names[n]: share * mask[names[n]].numel() for n, share in densities.items()}
    left = {name: int(m.sum()) for name, m in mask.items()}
    ordered = {name: shares[name] for name in mask}
    number, most = masks.count(density, mask), sum(left[n] for n in mask if shares[n])
    if number > most:
        raise UsageError(
            f"prune.allocation.path: the table empties layers, so that {most} weights are the most "
            f"it can keep, and density {density:.6g} asks for {number}; ask for fewer"
        )
    counts = apportion(ordered, {n: left[n] if shares[n] else 0 for n in mask}, number)
    return keep_counts(scores, mask, counts)


def read(path: Path, level: int | None) -> dict[str, float]:
    """Return layer -> density of one level of a table; raises UsageError for any that is none."""
    file = path / "layers.csv" if path.is_dir() else path
    if not file.exists() and (runs := replicates(path)):
        raise UsageError(
            f"prune.allocation.path: {printable(path)} is a run, where the folder of a replicate "
            f"is wanted; type prune.allocation.path={shlex.quote(near(runs[0]))} "
            "prune.allocation.level=1"
        )
    try:
        text = read_plain(file, TABLE).decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        if rows and "level" in rows[0]:
            if level is None:
                raise UsageError(
                    f"prune.allocation.level: {file} has levels; say which, like "
                    "prune.allocation.level=3"
                )
            rows = [row for row in rows if int(row["level"]) == level]
        found = {row["layer"]: float(row["density"]) for row in rows}
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        if isinstance(error, OSError) and error.errno not in disk.ABSENT:
            raise disk.refused(file, "read", error) from error
        gone = isinstance(error, OSError)
        told = "is not there" if gone else f"is no table of layer and density ({error})"
        raise UsageError(f"prune.allocation.path: {printable(file)} {told}; {WANTED}") from error
    if not found or not all(0 <= share <= 1 for share in found.values()):
        raise UsageError(f"prune.allocation.path: {file} has no densities from 0 to 1 to read")
    return found
