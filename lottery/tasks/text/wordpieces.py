"""Cut sentences into pieces of words, by a tokenizer that a net brings or one that is learned."""

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.machine import libraries
from lottery.storage.files import digest, read_plain
from lottery.storage.installed import place
from lottery.tasks.images.cache import cached
from lottery.wording.text import first_line, printable

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LEARNED = "learned"  # in place of a folder
INSIDE = "##"  # begins a piece that does not begin a word
LARGEST = 200_000_000  # bytes of a tokenizer
SETTING = "dataset.tokenizer"
Texts = Sequence[tuple[str, ...]]  # a sentence each, or a pair


class Pieces(NamedTuple):
    """Sentences as numbers of word pieces, end to end.

    `ends` says where each ends; `kinds` is 1 in the second sentence of a pair.
    """

    ids: Tensor  # int32 [sum of lengths]
    kinds: Tensor  # uint8 [sum of lengths]
    ends: Tensor  # int64 [N]


class Vocabulary(NamedTuple):
    """What a tokenizer says of its pieces."""

    size: int  # how many there are
    marks: tuple[int, ...]  # begin, end, filling, unknown and the like, which are no words
    padding: int  # the piece that fills a text up, which no net looks at
    hidden: int  # the one that stands in place of another; -1 where there is none

    @classmethod
    def of(cls, tokenizer: str) -> "Vocabulary":
        """Return what the JSON of a tokenizer says."""
        said = json.loads(tokenizer)
        own, added = said["model"]["vocab"], said.get("added_tokens", ())
        highest = max(own.values()) if isinstance(own, dict) else len(own) - 1
        known = {each["content"]: int(each["id"]) for each in added}
        return cls(
            int(max(highest, *known.values(), 0)) + 1,
            tuple(int(each["id"]) for each in added if each.get("special", True)),
            next((known[word] for word in ("[PAD]", "<pad>") if word in known), 0),
            next((known[word] for word in ("[MASK]", "<mask>") if word in known), -1),
        )


def tokenizer_of(word: str | None, size: int, train: Iterable[str]) -> str:
    """Return the JSON of the tokenizer that a setting names: `learned`, a folder or a file.

    A learned one has at most `size` pieces, of the training sentences. Raises UsageError.
    """
    if word is None:
        raise UsageError(
            f"{SETTING}: it is that of the model's folder, which is not named; type "
            f"model.path=FOLDER, or {SETTING}={LEARNED}"
        )
    return learned(train, size) if word == LEARNED else brought(place(word, SETTING))


def brought(where: Path) -> str:
    """Return the JSON of a tokenizer: of tokenizer.json, or by vocab.txt as BERT's were made."""
    names = ("tokenizer.json", "vocab.txt")
    files = [where / name for name in names if (where / name).is_file()]
    file = where if where.is_file() else next(iter(files), None)
    if file is None:
        raise UsageError(
            f"{SETTING}: {printable(where)} has neither {' nor '.join(names)}; give the folder of "
            f"a net that has, or {SETTING}={LEARNED}"
        )
    try:
        text = read_plain(file, LARGEST).decode()
        if file.suffix == ".json":
            return str(opened().Tokenizer.from_str(text).to_str())
        lines = text.splitlines()
        config = file.with_name("tokenizer_config.json")
        said = json.loads(read_plain(config, LARGEST)) if config.is_file() else {}
        if missing := [name for name in SPECIAL[:4] if name not in lines]:
            raise ValueError(f"it lacks the line {missing[0]}")
        return made(
            {word: n for n, word in enumerate(lines)}, bool(said.get("do_lower_case", True))
        )
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 (the library raises nothing narrower)
        raise UsageError(
            f"{SETTING}: {printable(file)} is no tokenizer ({first_line(error)}); give the folder "
            f"of a net with a tokenizer.json or a vocab.txt, or {SETTING}={LEARNED}"
        ) from error


def opened() -> Any:
    """Return the library; raises UsageError with what to install."""
    return libraries.opened("tokenizers", "hf", "dataset: text")


def made(vocabulary: dict[str, int], lower: bool = True) -> str:
    """Return the JSON of BERT's kind of tokenizer: [CLS] one [SEP], or one [SEP] two [SEP]."""
    library = opened()
    made = library.Tokenizer(library.models.WordPiece(vocabulary, unk_token=SPECIAL[1]))
    made.normalizer = library.normalizers.BertNormalizer(lowercase=lower)
    made.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    made.decoder = library.decoders.WordPiece()
    made.add_special_tokens([word for word in SPECIAL if word in vocabulary])
    begin, end = ((word, vocabulary[word]) for word in ("[CLS]", "[SEP]"))
    made.post_processor = library.processors.BertProcessing(end, begin)
    return str(made.to_str())


def learned(sentences: Iterable[str], size: int) -> str:
    """Return the JSON of a tokenizer whose pieces are those that most words are made of.

    Pairs of pieces are joined, the most frequent first (of equally many the first in the alphabet),
    up to `size` pieces. The library's own trainer counts in an order that differs from run to run.
    Raises UsageError where already the letters are more.
    """
    counts = words_in(sentences)
    if not counts:
        raise UsageError(f"{SETTING}={LEARNED}: the training sentences have no word; give others")
    words = {word: [word[0], *(INSIDE + letter for letter in word[1:])] for word in counts}
    alphabet = sorted({piece for pieces in words.values() for piece in pieces})
    found = [*SPECIAL, *alphabet]
    if len(found) > size:
        raise UsageError(
            f"dataset.pieces={size}: the training sentences have {len(alphabet)} letters already; "
            f"type dataset.pieces={10 * len(found)}"
        )
    pairs: Counter[tuple[str, str]] = Counter()
    where: dict[tuple[str, str], set[str]] = defaultdict(set)
    for word, pieces in words.items():
        for pair in zip(pieces, pieces[1:], strict=False):
            pairs[pair] += counts[word]
            where[pair].add(word)
    heap = [(-number, pair) for pair, number in pairs.items()]
    heapq.heapify(heap)
    known = set(found)
    while heap and len(found) < size:
        number, pair = heapq.heappop(heap)
        if -number != pairs[pair] or pairs[pair] < 2:  # counted anew since, or of one word alone
            continue
        joined = pair[0] + pair[1].removeprefix(INSIDE)
        changed: set[tuple[str, str]] = set()
        for word in where.pop(pair):
            old = words[word]
            new = words[word] = joined_in(old, pair, joined)
            for sign, pieces in ((-1, old), (1, new)):
                for other in zip(pieces, pieces[1:], strict=False):
                    pairs[other] += sign * counts[word]
                    changed.add(other)
                    if sign > 0:
                        where[other].add(word)
        for other in changed - {pair}:
            heapq.heappush(heap, (-pairs[other], other))
        if joined not in known:
            known.add(joined)
            found.append(joined)
    return made({piece: number for number, piece in enumerate(found)})


def joined_in(pieces: list[str], pair: tuple[str, str], joined: str) -> list[str]:
    """Return the pieces of a word with each such pair as one."""
    found: list[str] = []
    waiting = iter(range(len(pieces)))
    for at in waiting:
        both = tuple(pieces[at : at + 2]) == pair
        found.append(joined if both else pieces[at])
        if both:
            next(waiting)
    return found


def words_in(sentences: Iterable[str]) -> Counter[str]:
    """Return how often each word comes, in small letters and without accents, as BERT's do."""
    library = opened()
    normal = library.normalizers.BertNormalizer(lowercase=True)
    split = library.pre_tokenizers.BertPreTokenizer()
    found: Counter[str] = Counter()
    for sentence in sentences:
        found.update(word for word, _ in split.pre_tokenize_str(normal.normalize_str(sentence)))
    return found


def pieces_of(root: Path | None, texts: Texts, tokenizer: str, longest: int) -> Pieces:
    """Return sentences, or pairs, in pieces of at most `longest` with the marks around them.

    Kept below the data folder, known by the content of both, where there is one.
    """
    if root is None:
        return Pieces(**cut(texts, tokenizer, longest))
    said = json.dumps([list(map(list, texts)), tokenizer, longest], ensure_ascii=False)
    name = f"pieces-{digest(said.encode())[:32]}"
    number = len(texts)
    found, _ = cached(
        root, name, lambda: cut(texts, tokenizer, longest), lambda t: check(t, number)
    )
    return Pieces(found["ids"], found["kinds"], found["ends"])


def cut(texts: Texts, tokenizer: str, longest: int) -> dict[str, Tensor]:
    """Return sentences, or pairs, in pieces; of what is too long the longer one loses its end."""
    reader = opened().Tokenizer.from_str(tokenizer)
    reader.no_padding()
    reader.enable_truncation(longest)
    made = reader.encode_batch([each if len(each) > 1 else each[0] for each in texts])
    ids = [torch.tensor(one.ids, dtype=torch.int32) for one in made]
    kinds = [torch.tensor(one.type_ids, dtype=torch.uint8) for one in made]
    ends = torch.tensor([len(one) for one in ids]).cumsum(0)
    return {"ids": torch.cat(ids), "kinds": torch.cat(kinds), "ends": ends}


def paragraphs_of(
    root: Path | None, lines: Sequence[str], tokenizer: str, longest: int, marks: Iterable[int]
) -> Pieces:
    """Return paragraphs in pieces of at most `longest`, a long one as several, end to end.

    Those that are nothing but `marks` are left out. Kept below the data folder, if there is one.
    """

    def make() -> dict[str, Tensor]:
        return whole(lines, tokenizer, longest, set(marks))

    if root is None:
        return Pieces(**make())
    said = json.dumps([list(lines), tokenizer, longest], ensure_ascii=False)
    name = f"paragraphs-{digest(said.encode())[:32]}"
    found, _ = cached(root, name, make, lambda tensors: check(tensors, None))
    return Pieces(found["ids"], found["kinds"], found["ends"])


def whole(
    lines: Sequence[str], tokenizer: str, longest: int, marks: Collection[int]
) -> dict[str, Tensor]:
    """Return every piece of paragraphs, in texts of at most `longest` with marks around each."""
    reader = opened().Tokenizer.from_str(tokenizer)
    reader.no_padding()
    reader.enable_truncation(longest)
    made = [
        torch.tensor(part.ids, dtype=torch.int32)
        for one in reader.encode_batch(list(lines))
        for part in (one, *one.overflowing)
        if not all(number in marks for number in part.ids)
    ]
    ids = torch.cat(made) if made else torch.zeros(0, dtype=torch.int32)
    ends = torch.tensor([len(one) for one in made], dtype=torch.int64).cumsum(0)
    return {"ids": ids, "kinds": torch.zeros_like(ids, dtype=torch.uint8), "ends": ends}


def check(tensors: dict[str, Tensor], number: int | None) -> None:
    """Raise ValueError unless the tensors are so many sentences in pieces; None is any number."""
    kinds = {name: tensor.dtype for name, tensor in tensors.items()}
    if kinds != {"ids": torch.int32, "kinds": torch.uint8, "ends": torch.int64}:
        raise ValueError(f"it holds {kinds}")
    ids, ends = tensors["ids"], tensors["ends"]
    sizes = ends.diff(prepend=ends.new_zeros(1))
    if (
        ends.shape != (len(ends) if number is None else number,)
        or ids.shape != tensors["kinds"].shape
        or ids.dim() != 1
    ):
        raise ValueError("its parts do not fit")
    least = 1 if number is None else 0  # a paragraph without a piece is left out, a sentence stays
    if int(sizes.sum()) != len(ids) or bool((sizes < least).any()) or bool((ids < 0).any()):
        raise ValueError("its parts do not fit")
