"""Make sentences of opinion whose worth is known, by a small grammar.

A clause says of a thing that it is so; how good that is follows from an adjective, from what
strengthens, weakens or denies it, and from which of two clauses has the last word. Many
adjectives are a stem with an end (joyful, joyless), so that one can be known by its pieces.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

THINGS = (
    "film", "book", "song", "meal", "hotel", "lecture", "garden", "play", "phone", "museum",
    "story", "chair", "concert", "market", "journey", "coat", "game", "bridge", "class",
    "painting",
)  # fmt: skip
PARTS = (
    "ending", "service", "colour", "sound", "price", "design", "beginning", "staff", "view",
    "shape",
)  # fmt: skip
LATER = ("opera", "bicycle", "library", "balcony", "soup", "pace")  # things of the test split alone
STEMS = (
    "joy", "hope", "care", "grace", "taste", "thought", "use", "skill", "help", "heart", "play",
    "force", "power", "rest", "fruit", "faith", "meaning", "colour", "purpose", "event",
)  # fmt: skip
LATER_STEMS = ("art", "mind", "cheer", "truth")  # in the test split alone
ENDS = {"ful": 2.0, "less": -2.0}
WORTHS = {
    "great lovely superb": 3.0, "good pleasant bright": 2.0, "fine nice": 1.0,
    "awful ugly dismal": -3.0, "bad dull dreary": -2.0, "poor weak": -1.0,
}  # fmt: skip
PLAIN = {word: worth for words, worth in WORTHS.items() for word in words.split()}
DEGREES = {"": 1.0, "very": 1.5, "truly": 1.5, "somewhat": 0.5, "a little": 0.5}
DENIALS = {"not": -0.75, "never": -1.0, "hardly": -0.5}
VERBS = ("is", "was", "seems", "looked")
FRAMES = {  # how two clauses stand together -> what each counts
    "{0} but {1}": (0.1, 1.0),
    "although {0} , {1}": (0.1, 1.0),
    "{0} , although {1}": (1.0, 0.1),
    "{0} , yet {1}": (0.1, 1.0),
    "{0} and {1}": (0.6, 0.6),
}
ALONE, TOGETHER = "{0}", "{0} and {1}"
LATER_FRAMES = ("{0} , yet {1}",)  # never denied in the training sentences
SINGLE, DENIED, OPPOSED = 0.4, 0.4, 0.6  # shares: of one clause, denied, of two against each other
CLEAR = 0.3  # a worth nearer to 0 is neither good nor bad


class Clause(NamedTuple):
    words: str
    worth: float
    denied: bool


class Phrase(NamedTuple):
    """A sentence, how good what it says is, and whether it is made of what training may know."""

    text: str
    worth: float
    known: bool


def clause(draw: random.Random, later: bool, good: bool | None = None) -> Clause:
    """Return a clause; `later` lets words of the test split come, `good` says its worth's sign."""
    things = THINGS + PARTS + (LATER if later else ())
    while True:
        adjective, worth = adjective_of(draw, later)
        degree = draw.choice([*DEGREES, ""])
        denial = draw.choice([*DENIALS]) if draw.random() < DENIED else ""
        value = worth * DEGREES[degree] * DENIALS.get(denial, 1.0)
        if good is None or (value > 0) == good:
            break
    words = ["the", draw.choice(things), draw.choice(VERBS), denial, degree, adjective]
    return Clause(" ".join(word for word in words if word), value, bool(denial))


def adjective_of(draw: random.Random, later: bool) -> tuple[str, float]:
    """Return an adjective and its worth."""
    if draw.random() < 0.5:
        word = draw.choice([*PLAIN])
        return word, PLAIN[word]
    end = draw.choice([*ENDS])
    return draw.choice(STEMS + (LATER_STEMS if later else ())) + end, ENDS[end]


def phrase(draw: random.Random, later: bool) -> Phrase:
    """Return a sentence: one clause, or two that mostly speak against each other."""
    frame = ALONE if draw.random() < SINGLE else draw.choice([*FRAMES])
    if frame == ALONE:
        only = clause(draw, later)
        return Phrase(only.words, only.worth, known(only.words))
    first = clause(draw, later)
    against = frame != TOGETHER and draw.random() < OPPOSED
    good = first.worth > 0 if frame == TOGETHER else first.worth < 0 if against else None
    second = clause(draw, later, good)
    one, two = FRAMES[frame]
    text = frame.format(first.words, second.words)
    odd = frame in LATER_FRAMES and (first.denied or second.denied)
    return Phrase(text, one * first.worth + two * second.worth, known(text) and not odd)


def known(text: str) -> bool:
    """Say whether no word is of the test split alone."""
    words = text.split()
    stems = {f"{stem}{end}" for stem in LATER_STEMS for end in ENDS}
    return not any(word in LATER or word in stems for word in words)


def phrases(number: int, draw: random.Random, later: bool, rated: bool) -> Iterator[Phrase]:
    """Yield so many sentences, each once, with what is asked: `later` ones are all new in a way.

    Without `rated` none is of a worth near 0, and good and bad ones take turns.
    """
    seen: set[str] = set()
    while len(seen) < number:
        made = phrase(draw, later)
        if made.known == later or made.text in seen:
            continue
        if not rated and (abs(made.worth) < CLEAR or (made.worth > 0) != (len(seen) % 2 == 0)):
            continue
        seen.add(made.text)
        yield made
