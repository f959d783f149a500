"""Cut lines into byte pairs: parts of words, learned from the training text."""

import json
import os
from collections.abc import Iterable, Sequence

from lottery.errors import UsageError
from lottery.machine.libraries import opened
from lottery.tasks.text.vocabulary import SPECIAL

BYTES = 256  # what every line can be made of


class BytePairs:
    """A vocabulary of byte pairs (Sennrich et al. 2016), by `tokenizers`.

    The parts that come together most often become one, until there are `size` with the special
    tokens. Every byte is a part, so that any line has numbers and is made again from them.
    """

    def __init__(self, training: Iterable[str], size: int) -> None:
        if size < BYTES + len(SPECIAL):
            raise UsageError(
                f"dataset.vocabulary={size} is below {BYTES + len(SPECIAL)}: bytes and special "
                "tokens alone are as many; type dataset.vocabulary=8000"
            )
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads outlive no fork
        library = opened("tokenizers", "translate", "dataset.vocabulary")
        self.pairs = library.Tokenizer(library.models.BPE())
        self.pairs.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        self.pairs.decoder = library.decoders.ByteLevel()
        alphabet = library.pre_tokenizers.ByteLevel.alphabet()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size - len(SPECIAL), initial_alphabet=sorted(alphabet), show_progress=False
        )
        self.pairs.train_from_iterator(training, trainer)

    @property
    def size(self) -> int:
        return int(self.pairs.get_vocab_size()) + len(SPECIAL)

    @property
    def content(self) -> str:
        return json.dumps({"special": SPECIAL, "tokenizer": json.loads(self.pairs.to_str())})

    def numbers(self, lines: Sequence[str]) -> list[list[int]]:
        first = len(SPECIAL)  # no text, whatever it says, is a special token
        return [
            [first + number for number in each.ids] for each in self.pairs.encode_batch([*lines])
        ]

    def line(self, numbers: Sequence[int]) -> str:
        first = len(SPECIAL)
        text = self.pairs.decode([number - first for number in numbers if number >= first])
        return str(text).removeprefix(" ")
