"""A line of words after `lottery run`, read one after the other for what they mean."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from lottery.config.answers import tables
from lottery.config.answers.keys import setting
from lottery.config.answers.options import FIRST
from lottery.config.answers.said import NAMELESS, Asked, Said, answer
from lottery.config.answers.shares import NUMBER
from lottery.config.compose import FLAGS, MULTIRUN, takes_value
from lottery.wording import synonyms
from lottery.wording.spelling import plain

APART = re.compile(r"[;,\s]+(?=[A-Za-z_][\w./]*=)")  # between two words that were not kept apart
IDENT = re.compile(r"[0-9a-f]{10}")


@dataclass
class Line:
    """The words of `lottery run` or `plan`, one after the other taken for what they mean."""

    asked: Asked
    waiting: list[str]
    said: list[Said] = field(default_factory=list)

    def read(self) -> None:
        """Take all the words."""
        while self.waiting:
            word = self.waiting.pop(0)
            if word in MULTIRUN or word.partition("=")[0] in FLAGS:
                taken = [word, *(self.waiting[:1] if takes_value(word, self.waiting) else ())]
                del self.waiting[: len(taken) - 1]
                self.said.append(Said(taken))
            elif word == "--":
                pass  # ends the flags in other tools
            elif len(pieces := APART.split(word)) > 1 and "=" in pieces[0]:
                each = [setting(self.asked, *p.split("=", 1)) or Said([p]) for p in pieces]
                words = [real for one in each for real in one.words]
                reasons = [one.why for one in each if one.why]
                self.said.append(Said(words, "; ".join(["write each word apart", *reasons])))
            elif word.startswith("-") and word != "-":
                self.said.append(self.flag(word))
            elif "=" in word and not word.startswith("="):
                key, _, value = word.partition("=")
                if not value and self.bare_next():
                    self.said.append(self.spaced(key, self.waiting.pop(0), word))
                else:
                    self.said.append(setting(self.asked, key, value) or Said([word]))
            else:
                self.said.append(self.bare(word))

    def bare_next(self) -> bool:
        """Say whether a word follows that is neither a flag nor KEY=VALUE."""
        return bool(self.waiting) and "=" not in self.waiting[0] and self.waiting[0][:1] != "-"

    def more_values(self, first: str) -> str:
        """Return a value with those behind it, where argparse's nargs='+' takes several numbers."""
        while self.bare_next() and re.fullmatch(r"[\d.]+(ep|it)?", self.waiting[0]):
            if not re.fullmatch(r"[\d.]+(ep|it)?", first.rpartition(",")[2]):
                break
            first += f",{self.waiting.pop(0)}"
        return first

    def spaced(self, key: str, value: str, typed: str) -> Said:
        """Return what KEY VALUE, or KEY = VALUE, comes to."""
        found = setting(self.asked, key, value) or Said([f"{key}={value}"])
        return Said(found.words, found.why or f"{typed}: write KEY=VALUE, without spaces")

    def flag(self, word: str) -> Said:
        """Return what --key value, --key=value or -k comes to; as it is where nobody knows it."""
        name, equals, value = word.lstrip("-").partition("=")
        long = word.startswith("--")
        key = name if long else synonyms.SHORT.get(name, name)
        given, on = bool(equals), value or "true"
        if not equals and self.bare_next():
            given, on = True, self.waiting[0]
        if key.startswith("no-") and not setting(self.asked, key, on) and not given:
            key, on = key.removeprefix("no-"), "false"
        found = setting(self.asked, key, on)
        if found is None:
            return Said([word])
        if given and not equals:
            first = self.waiting.pop(0)
            if (several := self.more_values(first)) != first:
                found = setting(self.asked, key, f"[{several}]") or found
        if found.why or found.command or found.words[:1] == ["-v"]:
            return found if found.why else Said(found.words, f"{word}: not here", found.command)
        return Said(found.words, "settings have no dashes")

    def bare(self, word: str) -> Said:
        """Return what a word that is no KEY=VALUE comes to; as it is where nobody knows it."""
        if self.waiting and self.waiting[0] == "=" and len(self.waiting) > 1:
            self.waiting.pop(0)
            return self.spaced(word, self.waiting.pop(0), f"{word} = ")
        if word.endswith(":") and self.bare_next():
            return self.spaced(word[:-1], self.waiting.pop(0), word)
        key, colon, value = word.partition(":")
        if colon and value and (found := setting(self.asked, key, value)):
            return Said(found.words, found.why or f"{word}: write KEY=VALUE", found.command)
        number = self.bare_next() and NUMBER.fullmatch(self.waiting[0])
        if number and (found := setting(self.asked, word, self.waiting[0])):
            self.waiting.pop(0)
            return Said(found.words, found.why or f"{word}: write KEY=VALUE, without spaces")
        if option := self.asked.known.option_of_any(word, FIRST):
            return Said([option], f"'{word}' is an option: write GROUP=NAME")
        if re.search(r"\.(ya?ml|json|toml|cfg|ini)$", word):
            return answer(self.asked, word, NAMELESS, tables.answers()["config"])
        if self.bare_next() and (found := setting(self.asked, word, self.waiting[0])):
            self.waiting.pop(0)
            return Said(found.words, found.why or f"{word}: write KEY=VALUE, without spaces")
        if plain(word) in tables.answers():
            return answer(self.asked, word, NAMELESS, tables.answers()[plain(word)])
        if plain(word) in tables.words_of("SWITCHES") and (
            found := setting(self.asked, word, "true")
        ):
            return Said(found.words, found.why or f"'{word}': write KEY=VALUE", found.command)
        if is_run(word):
            said = f"{word} is a run; `lottery show {shlex.quote(word)}` prints its command"
            return Said([], said, choice=True)
        return Said([word])


def is_run(word: str) -> bool:
    """Say whether a word is the folder of a run, or the whole id of one under outputs/."""
    folder = Path(word)
    steps = ("run.json", "replicate_*/run.json", "*/replicate_*/run.json")
    there = "/" in word and any(found for step in steps for found in folder.glob(step))
    return there or bool(IDENT.fullmatch(word) and any(Path("outputs").glob(f"*/{word}")))
