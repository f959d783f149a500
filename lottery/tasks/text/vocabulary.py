"""Turn lines into numbers of tokens and back, by a vocabulary of the training text alone."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

PAD, BEGIN, END, UNKNOWN = range(4)  # what every vocabulary begins with
SPECIAL = ("<pad>", "<begin>", "<end>", "<unknown>")


class Vocabulary(Protocol):
    """What cuts lines into tokens, each with a number of its own."""

    @property
    def size(self) -> int:
        """V, the special tokens included."""
        ...

    @property
    def content(self) -> str:
        """JSON of all that the numbers of a line depend on: `special` tokens first, then others."""
        ...

    def numbers(self, lines: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each line by number, without special ones."""
        ...

    def line(self, numbers: Sequence[int]) -> str:
        """Return the line that tokens make; special ones make nothing."""
        ...


class Parts:
    """The parts that a function cuts lines into, as far as the training text has them."""

    def __init__(self, cut: Callable[[str], list[str]], training: Iterable[str]) -> None:
        self.cut = cut
        found = {part for line in training for part in cut(line)}
        self.parts = [*SPECIAL, *sorted(found)]
        self.known = {part: number for number, part in enumerate(self.parts)}

    @property
    def size(self) -> int:
        return len(self.parts)

    @property
    def content(self) -> str:
        return json.dumps({"special": SPECIAL, "parts": self.parts[len(SPECIAL) :]})

    def numbers(self, lines: Sequence[str]) -> list[list[int]]:
        return [[self.known.get(part, UNKNOWN) for part in self.cut(line)] for line in lines]

    def line(self, numbers: Sequence[int]) -> str:
        return "".join(self.parts[number] for number in numbers if number >= len(SPECIAL))
