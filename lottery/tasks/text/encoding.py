"""Read the bytes of a file as text, or say what makes text of them."""

import shlex
from pathlib import Path

from lottery.errors import UsageError
from lottery.wording.text import printable

ARCHIVES = {b"PK\x03\x04": "unzip", b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz"}
HEADS = {  # how a text begins that is in another encoding; the longer ones first
    b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip
OLD = "LATIN1"  # which every byte is a letter of


def decoded(data: bytes, file: Path) -> str:
    """Return the text of a file in UTF-8; raises UsageError for another, with what to type."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"is no text in UTF-8 (byte {error.start})"
        raise refused(file, why, unpacked(data, file) or recoded(data, file)) from error
    if "\0" in text:
        wide = recoded(data, file) if halves(data) else "give a text"
        raise refused(file, "is no text: it has zero bytes", unpacked(data, file) or wide)
    return text


def refused(file: Path, why: str, todo: str) -> UsageError:
    """Return the error for a file that is no text."""
    return UsageError(f"dataset.path: {printable(file)} {why}; {todo}")


def unpacked(data: bytes, file: Path) -> str:
    """Return what unpacks an archive, by how it begins; "" for what is none."""
    way = next((way for head, way in ARCHIVES.items() if data.startswith(head)), "")
    if way in ("", "unzip"):
        return way and f"unpack it: {way} {typed(file)}, then give dataset.path what was in it"
    return f"unpack it: {way} < {typed(file)} > {new(file.with_suffix(''))}"


def recoded(data: bytes, file: Path) -> str:
    """Return what writes a text anew in UTF-8, by how it begins or by where its zeros are."""
    begun = next((e for head, e in HEADS.items() if data.startswith(head)), "")
    encoding = begun or halves(data) or OLD
    return f"type: iconv -f {encoding} -t UTF-8 {typed(file)} > {new(file)}"


def halves(data: bytes) -> str:
    """Return the encoding of a text in which every other byte is zero; "" of another."""
    for start, encoding in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if data[start::2].count(0) > len(data) // 4:
            return encoding
    return ""


def new(file: Path) -> str:
    """Return the name of a file to be made, which ends as this one does."""
    return typed(f"NEW{file.suffix}")


def typed(file: Path | str) -> str:
    """Return a path as it is typed into a shell."""
    return printable(shlex.quote(str(file)))
