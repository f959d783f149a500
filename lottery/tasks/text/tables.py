"""Read tables of text: TSV, CSV and JSONL as they lie on a disk."""

from pathlib import Path

from lottery.errors import UsageError
from lottery.storage import disk
from lottery.storage.files import read_plain
from lottery.wording.text import printable

LARGEST = 4_000_000_000  # bytes of a file


def content(path: Path, setting: str, wanted: str) -> bytes:
    """Return the bytes of a file; raises UsageError, with what is `wanted`, where there is none."""
    if path.is_dir():
        raise UsageError(f"{setting}: {printable(path)} is a folder; {wanted}")
    if not path.exists():
        raise UsageError(f"{setting}: {printable(path)} is not there; {wanted}")
    try:
        data = read_plain(path, LARGEST)
    except OSError as error:
        raise disk.refused(path, "read", error) from error
    except ValueError as error:
        raise UsageError(f"{setting}: {printable(path)}: {error}; {wanted}") from error
    if not data:
        raise UsageError(f"{setting}: {printable(path)} is empty; {wanted}")
    return data
