"""Read pairs of lines from message catalogues, which lie on every machine that speaks a language.

They are under many licences: read, never shipped.
"""

import hashlib
import os
import re
import struct
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from lottery.errors import UsageError
from lottery.storage.files import read_plain
from lottery.tasks.text.corpora import shares
from lottery.tasks.text.translation import Pair
from lottery.wording.text import first_line, printable, some

ORDERS = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}  # what a file begins with
LARGEST = 100_000_000  # bytes of a catalogue
WORDS = range(2, 31)  # of a line that is taken
NAMES = "iso_"  # begins the catalogues that only have names of places and languages
CHARSET = re.compile(rb"charset=([\w.:-]+)", re.IGNORECASE)
CONTEXT, FORMS = "\x04", "\x00"  # what stands before a message, and between its plural forms


def catalogue(data: bytes) -> list[Pair]:
    """Return the messages of a .mo file and their translations, of plurals the first form.

    Raises ValueError for what is no such file. Nothing in it is run, as the rule for plurals could
    be.
    """
    order = ORDERS.get(data[:4])
    if order is None or len(data) < 20:
        raise ValueError("it does not begin as a catalogue")
    revision, number, ids, texts = struct.unpack_from(f"{order}4I", data, 4)
    if revision >> 16 > 1:
        raise ValueError(f"revision {revision >> 16} of the format is not known")
    if max(ids, texts) + 8 * number > len(data):
        raise ValueError("it is cut off")

    def text(table: int, index: int) -> bytes:
        length, begin = struct.unpack_from(f"{order}2I", data, table + 8 * index)
        if begin + length > len(data):
            raise ValueError("it is cut off")
        return data[begin : begin + length]

    raw = [(text(ids, index), text(texts, index)) for index in range(number)]
    header = next((body for message, body in raw if not message), b"")
    named = CHARSET.search(header)
    charset = named[1].decode() if named else "utf-8"
    try:
        return [
            (
                message.decode(charset).rpartition(CONTEXT)[2].partition(FORMS)[0],
                body.decode(charset).partition(FORMS)[0],
            )
            for message, body in raw
            if message
        ]
    except LookupError as error:
        raise ValueError(f"nobody knows its charset {charset}") from error


def files_of(folder: Path, language: str, names: bool) -> tuple[list[Path], set[str]]:
    """Return the catalogues of a language below a folder, and the languages that there are."""
    found, languages = [], set()
    for place, _, files in os.walk(folder):
        path = Path(place)
        if path.name != "LC_MESSAGES":
            continue
        languages |= {path.parent.name} if any(f.endswith(".mo") for f in files) else set()
        if path.parent.name == language:
            found += [
                path / f for f in files if f.endswith(".mo") and (names or not f.startswith(NAMES))
            ]
    return sorted(found), languages


def taken(pairs: list[Pair]) -> Iterator[Pair]:
    """Yield the pairs of one line each that have 2 to 30 words and are not the same."""
    for source, target in pairs:
        if "\n" in source.strip() or "\n" in target.strip():
            continue
        one, other = source.split(), target.split()
        if len(one) in WORDS and len(other) in WORDS and one != other:
            yield " ".join(one), " ".join(other)


def messages(root: Path, path: str, language: str, names: bool) -> list[Pair]:
    """Return the English lines of all catalogues of a language, each once, and what they become.

    Of several translations the most frequent is taken, then the first by the alphabet; the order is
    that of the alphabet, so that only content counts. A file that cannot be read is left out, which
    stderr is told. Raises UsageError where there is none.
    """
    if not re.fullmatch(r"\w+([.@-]\w+)*", language):
        raise UsageError(f"dataset.language={language} is no language; type dataset.language=de")
    folder = root / Path(path).expanduser()
    if not folder.is_dir():
        raise UsageError(
            f"dataset.path: {printable(folder)} is no folder; give one that has "
            f"{language}/LC_MESSAGES/*.mo below, such as /usr/share/locale"
        )
    files, languages = files_of(folder, language, names)
    if not files:
        there = f" (there are {some(sorted(languages))})" if languages else ""
        raise UsageError(
            f"dataset.path: there is no {language}/LC_MESSAGES/*.mo below {printable(folder)}"
            f"{there}; choose another dataset.language, or install programs with their translations"
        )
    said: defaultdict[str, Counter[str]] = defaultdict(Counter)
    broken = []
    for file in files:
        try:
            pairs = catalogue(read_plain(file, LARGEST))
        except (ValueError, OSError) as error:
            broken.append(f"{file} ({first_line(error)})")
            continue
        for source, target in taken(pairs):
            said[source][target] += 1
    if broken:
        print(f"warning: {len(broken)} of {len(files)} catalogues are left out: {some(broken)}",
              file=sys.stderr)  # fmt: skip
    return [
        (source, min(every, key=lambda text: (-every[text], text)))
        for source, every in sorted(said.items())
    ]


def by_hash(pairs: list[Pair], validation: float, test: float) -> dict[str, list[Pair]]:
    """Return those shares of the pairs for validation and test, by the hash of the source.

    Letters alone count, small ones, so that lines that differ by a sign are in one split; what a
    pair belongs to does not depend on others. Within a split the order is that of the hashes.
    """
    shares(validation, test, "pairs")
    found: dict[str, list[tuple[bytes, Pair]]] = {"train": [], "val": [], "test": []}
    for pair in pairs:
        letters = "".join(filter(str.isalpha, pair[0].lower()))
        digest = hashlib.sha256(letters.encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        split = "test" if place < test else "val" if place < test + validation else "train"
        found[split].append((digest, pair))
    for split, own in found.items():
        if not own:
            raise UsageError(
                f"dataset.path: too few pairs of lines ({len(pairs)}), none is left for {split}; "
                "install more programs with their translations, or give other shares"
            )
    return {split: [pair for _, pair in sorted(own)] for split, own in found.items()}
