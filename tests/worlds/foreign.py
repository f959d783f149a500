"""Three worlds that are not images, as somebody's package brings them.

`chains`: words of a made-up language, in dict batches, for a recurrent net that goes on where the
batch before ended (a memory); its metric is perplexity, lower is better, replicates averaged by
logarithms. `rows`: a regression on rows of numbers, judged by the relative error. `couplets`: padded
words in a dataclass, examples along the second axis, for an attention net that gives a dict; its
metrics are higher-is-better and no shares. The fixture `foreign` of tests/worlds/conftest.py installs
them, with their models, as entry points.
"""

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms import seeds
from lottery.terms.metric import Metric


def hashed(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


PERPLEXITY = Metric("perplexity", "lower", tolerance=0.01, of="dense", mean="log", error="loss")
NEXT = Metric("next_word", unit="share", tolerance=0.005)


@dataclass(frozen=True, eq=False)
class Chains:
    """Next words of a language where each word makes two others likely.

    Batches are {"words": int64 [B, T], "next": int64 [B, T]}; row b of a batch goes on where row b
    of the batch before ended, and so does the memory {"h", "c"} of the net.
    """

    splits: dict  # split -> int64 [N], one long text
    vocabulary: int
    length: int  # T
    width: int
    fingerprint: str
    rows: int = 4
    device: torch.device = torch.device("cpu")
    held: dict = field(default_factory=dict)  # the memory; a dict, since the task is frozen
    world = "text"
    metrics = (PERPLEXITY, NEXT)

    @property
    def chance(self):
        """The perplexity of who knows only how often each word comes."""
        counts = self.splits["train"].bincount(minlength=self.vocabulary).double()
        share = counts / counts.sum()
        return math.exp(-float((share * share.clamp_min(1e-12).log()).sum()))

    @property
    def steps_per_epoch(self):
        return (len(self.splits["train"]) - 1) // (self.rows * self.length)

    def size(self, split):
        return (len(self.splits[split]) - 1) // self.length if split in self.splits else 0

    def prepare(self, *, batch_size, device):
        splits = {name: text.to(device) for name, text in self.splits.items()}
        return replace(self, splits=splits, rows=batch_size, device=device, held={})

    def parts(self, split, rows):
        """Return the text as [rows, steps * T] and, one word later, what comes next."""
        text = self.splits[split]
        steps = (len(text) - 1) // (rows * self.length)
        whole = rows * steps * self.length
        return text[:whole].view(rows, -1), text[1 : whole + 1].view(rows, -1)

    def batches(self, split, epoch, seed, start=0):
        words, following = self.parts(split, self.rows)
        turn = int(torch.randint(self.rows, (), generator=seeds.generator(seed, "turn", epoch)))
        if split == "train":  # another row first: the order of an epoch
            words, following = words.roll(turn, 0), following.roll(turn, 0)
        for at in range(start * self.length, words.shape[1], self.length):
            piece = slice(at, at + self.length)
            yield {"words": words[:, piece], "next": following[:, piece], "first": at == 0}

    def state(self):
        return dict(self.held)

    def restore(self, state):
        self.held.clear()
        self.held.update(state)

    def loss(self, model, batch, temperature=1.0):
        begun = batch.get("first", True) or not self.held
        memory = None if begun else (self.held["h"], self.held["c"])
        scores, (h, c) = model(batch["words"], memory)
        self.held.update(h=h.detach(), c=c.detach())
        return F.cross_entropy(scores.flatten(0, 1) / temperature, batch["next"].flatten())

    @torch.no_grad()
    def evaluate(self, model, split):
        was = model.training
        model.eval()
        words, following = self.parts(split, 1)
        scores, _ = model(words, None)
        loss = float(F.cross_entropy(scores[0].float(), following[0]))
        right = float((scores[0].argmax(1) == following[0]).float().mean())
        model.train(was)
        perplexity = math.exp(loss) if loss < 700 else math.inf
        return {"loss": loss, "perplexity": perplexity, "next_word": right}

    def scoring_batches(self, generator, *, size=0, per_class=0, batch=0, augment=False, by_class=False):
        for asked, name in ((per_class, "per_class=0"), (by_class, "halves=false")):
            if asked:
                raise UsageError(f"prune.criterion: words have no classes; type prune.criterion.{name}")
        words, following = self.parts("train", 1)
        words, following = (t.view(-1, self.length) for t in (words, following))
        picked = torch.randperm(len(words), generator=generator)[: size or len(words)]
        return [
            {"words": words[rows], "next": following[rows]}
            for rows in picked.to(self.device).split(batch or self.rows)
        ]

    def count(self, batch):
        return len(batch["words"])

    def weight(self, batch):
        return batch["words"].numel()

    def cut(self, batch, start, stop):
        first = {"first": batch["first"]} if "first" in batch else {}
        return {name: batch[name][start:stop] for name in ("words", "next")} | first

    def inputs(self, batch):
        return (batch["words"],)

    def example(self, number):
        words = torch.arange(number * (self.length + 1)).view(number, -1) % self.vocabulary
        words = words.to(self.device)
        return {"words": words[:, :-1], "next": words[:, 1:]}

    def signal(self, model):
        return (torch.ones(1, self.length, self.width),)


def text_of(number, vocabulary, generator):
    """Return words of which each makes two others likely, int64 [number]."""
    sure = torch.rand(number, generator=generator)
    some = torch.randint(vocabulary, (number,), generator=generator)
    words = [0]
    for draw, other in zip(sure.tolist(), some.tolist(), strict=True):
        last = words[-1]
        likely = (3 * last + 1) % vocabulary if draw < 0.6 else (5 * last + 2) % vocabulary
        words.append(likely if draw < 0.9 else other)
    return torch.tensor(words[1:])


def chains(root: Path, *, vocabulary: int, words: int, length: int, width: int) -> Chains:
    """Return a task of next words."""
    draw = seeds.generator("chains")
    splits = {name: text_of(n, vocabulary, draw) for name, n in
              (("train", words), ("val", words // 4), ("test", words // 4))}  # fmt: skip
    return Chains(splits, vocabulary, length, width, hashed("chains", vocabulary, words, length))


class WordNet(nn.Module):
    """Embedding, LSTM, output layer; takes words, or a signal in place of their vectors."""

    def __init__(self, vocabulary, width):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.output = nn.Linear(width, vocabulary)

    def forward(self, words, memory=None):
        given = words if words.is_floating_point() else self.embedding(words)
        made, memory = self.lstm(given, memory)
        return self.output(made), memory


def word_net(task) -> nn.Module:
    """Return a net for words."""
    return WordNet(task.vocabulary, task.width)


RELATIVE = Metric("relative_error", "lower", "share", tolerance=0.005, error="itself")


@dataclass(frozen=True, eq=False)
class Rows:
    """A number that follows from a row of numbers; batches are (float32 [B, F], float32 [B])."""

    splits: dict
    features: int
    fingerprint: str
    batch_size: int = 0
    device: torch.device = torch.device("cpu")
    world = "numbers"
    metrics = (RELATIVE,)

    @property
    def chance(self):
        """The relative error of who always answers the median."""
        answers = self.splits["train"][1]
        return float(((answers.median() - answers).abs() / answers).mean())

    @property
    def steps_per_epoch(self):
        return -(-self.size("train") // self.batch_size)

    def size(self, split):
        return len(self.splits[split][1]) if split in self.splits else 0

    def prepare(self, *, batch_size, device):
        splits = {k: (x.to(device), y.to(device)) for k, (x, y) in self.splits.items()}
        return replace(self, splits=splits, batch_size=batch_size, device=device)

    def batches(self, split, epoch, seed, start=0):
        x, y = self.splits[split]
        order = torch.arange(len(y))
        if split == "train":
            order = torch.randperm(len(y), generator=seeds.generator(seed, "order", epoch))
        for rows in order.split(self.batch_size)[start:]:
            yield x[rows], y[rows]

    def loss(self, model, batch, temperature=1.0):
        x, y = batch
        return ((model(x)[:, 0] - y).abs() / y).mean()

    @torch.no_grad()
    def evaluate(self, model, split):
        was = model.training
        model.eval()
        x, y = self.splits[split]
        error = float(((model(x)[:, 0] - y).abs() / y).mean())
        model.train(was)
        return {"loss": error, "relative_error": error}

    def scoring_batches(self, generator, *, size=0, per_class=0, batch=0, augment=False, by_class=False):
        if per_class:
            raise UsageError("prune.criterion.per_class: rows have no classes; type prune.criterion.per_class=0")
        x, y = self.splits["train"]
        picked = torch.randperm(len(y), generator=generator)[: size or len(y)]
        return [(x[rows], y[rows]) for rows in picked.split(batch or self.batch_size)]

    def count(self, batch):
        return len(batch[1])

    weight = count

    def cut(self, batch, start, stop):
        return batch[0][start:stop], batch[1][start:stop]

    def inputs(self, batch):
        return (batch[0],)

    def example(self, number):
        x = torch.randn(number, self.features, generator=seeds.generator("example"))
        return x.to(self.device), torch.ones(number, device=self.device)


def rows(root: Path, *, examples: int, features: int) -> Rows:
    """Return a task of numbers."""
    draw = seeds.generator("rows")
    weights = torch.randn(features, generator=draw)

    def some(number) -> tuple[Tensor, Tensor]:
        x = torch.randn(number, features, generator=draw)
        return x, 2 + (x @ weights).tanh()

    splits = {"train": some(examples), "val": some(examples // 3), "test": some(examples // 3)}
    return Rows(splits, features, hashed("rows", examples, features))


def row_net(task, *, width: int) -> nn.Module:
    """Return a net for rows of numbers."""
    return nn.Sequential(nn.Linear(task.features, width), nn.ReLU(), nn.Linear(width, 1))


@dataclass(frozen=True)
class Padded:
    words: Tensor  # int64 [T, B]
    there: Tensor  # bool [B, T]
    labels: Tensor  # int64 [B]


@dataclass(frozen=True, eq=False)
class Phrases:
    """Which of three classes a phrase is of, by its first word."""

    splits: dict
    fingerprint: str
    batch_size: int = 0
    device: torch.device = torch.device("cpu")
    world = "text"
    metrics = (Metric("matthews", tolerance=0.01), Metric("bleu", "higher", "points", 0.2, error="ceiling_minus"))
    chance = None
    vocabulary, length = 20, 7

    @property
    def steps_per_epoch(self):
        return self.size("train") // self.batch_size

    def size(self, split):
        return len(self.splits[split].labels) if split in self.splits else 0

    def prepare(self, *, batch_size, device):
        return replace(self, batch_size=batch_size, device=device)

    def picked(self, split, rows):
        every = self.splits[split]
        return Padded(every.words[:, rows], every.there[rows], every.labels[rows])

    def batches(self, split, epoch, seed, start=0):
        order = torch.arange(self.size(split))
        if split == "train":
            order = torch.randperm(len(order), generator=seeds.generator(seed, "order", epoch))
        for rows in order.split(self.batch_size)[start:]:
            yield self.picked(split, rows)

    def loss(self, model, batch, temperature=1.0):
        return F.cross_entropy(model(batch.words, batch.there)["logits"] / temperature, batch.labels)

    @torch.no_grad()
    def evaluate(self, model, split):
        was = model.training
        model.eval()
        every = self.splits[split]
        scores = model(every.words, every.there)["logits"].float()
        model.train(was)
        right = float((scores.argmax(1) == every.labels).float().mean())
        loss = float(F.cross_entropy(scores, every.labels))
        return {"loss": loss, "matthews": 2 * right - 1, "bleu": 100 * right}

    def scoring_batches(self, generator, **picks):
        if picks.get("per_class") or picks.get("by_class"):
            raise UsageError("prune.criterion: phrases are not picked by class; type prune.criterion.per_class=0")
        order = torch.randperm(self.size("train"), generator=generator)[: picks.get("size") or None]
        return [self.picked("train", rows) for rows in order.split(picks.get("batch") or self.batch_size)]

    def count(self, batch):
        return len(batch.labels)

    weight = count

    def cut(self, batch, start, stop):
        return Padded(batch.words[:, start:stop], batch.there[start:stop], batch.labels[start:stop])

    def inputs(self, batch):
        return (batch.words, batch.there)

    def example(self, number):
        words = (torch.arange(self.length * number) % self.vocabulary).view(self.length, number)
        return Padded(words, torch.ones(number, self.length, dtype=torch.bool), torch.arange(number) % 3)


def couplets(root: Path) -> Phrases:
    """Return a task of couplets."""
    draw = seeds.generator("phrases")

    def some(number):
        words = torch.randint(Phrases.vocabulary, (Phrases.length, number), generator=draw)
        there = torch.rand(number, Phrases.length, generator=draw) < 0.8
        there[:, 0] = True
        return Padded(words, there, words[0] % 3)

    return Phrases({"train": some(60), "val": some(20), "test": some(30)}, hashed("phrases"))


class Attends(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1)
        self.head = nn.Linear(16, 3)

    def forward(self, words, there):
        made = self.layer(self.embedding(words), src_key_padding_mask=~there)
        return {"logits": self.head(made[0]), "hidden": made}


def attends(task) -> nn.Module:
    """Return an attention net for phrases."""
    return Attends(task.vocabulary)


YAML = {
    "dataset/chains": "name: chains\nvocabulary: 12\nwords: 480\nlength: 6\nwidth: 8\n",
    "dataset/rows": "name: rows\nexamples: 60\nfeatures: 5\n",
    "dataset/couplets": "name: couplets\n",
    "model/word_net": "name: word_net\n",
    "model/attends": "name: attends\n",
    "model/row_net": "name: row_net\nwidth: 8\n",
}


def install(folder: Path) -> None:
    """Make a package's entry points and yaml files of both worlds, in a folder."""
    about = folder / "foreign-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    lines = []
    for kind in ("dataset", "model"):
        lines.append(f"[lottery.{kind}]")
        lines += [f"{n.split('/')[1]} = foreign:{n.split('/')[1]}" for n in YAML if n.startswith(kind)]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for name, text in YAML.items():
        place = folder / "conf" / f"{name}.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
