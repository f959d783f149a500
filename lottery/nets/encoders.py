"""Build nets that read words, as transformers makes them, from what their config says."""

import inspect
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.machine import libraries
from lottery.storage.files import digest, read_plain
from lottery.terms import mask as masks
from lottery.wording.text import first_line, printable

CONFIG = "config.json"
LARGEST = 10_000_000  # bytes of a config
KINDS = {  # what a task wants an answer to -> the class of transformers, the hub's word for it
    "sentence": ("AutoModelForSequenceClassification", "text-classification"),
    "words": ("AutoModelForMaskedLM", "fill-mask"),
    "span": ("AutoModelForQuestionAnswering", "question-answering"),
}
OLD = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def opened() -> Any:
    """Return the library; raises UsageError with what to install."""
    return libraries.opened("transformers", "hf", "model: a net of transformers")


def config_in(folder: Path, sha256: str | None = None) -> dict[str, Any]:
    """Return what the config.json of a folder says, as data; raises UsageError.

    So it does for one of another content than `sha256`.
    """
    file = folder if folder.is_file() else folder / CONFIG
    if not file.is_file():
        raise UsageError(
            f"model.path: {printable(folder)} has no {CONFIG}; give the folder of a net as "
            "transformers saves it: config.json, model.safetensors, tokenizer.json or vocab.txt"
        )
    try:
        data = read_plain(file, LARGEST)
        if sha256 not in (None, digest(data)):
            raise UsageError(
                f"model.path: {printable(file)} has another content, sha256 {digest(data)}, than "
                f"the run's model.sha256={sha256}; put the file back, or leave model.sha256 out "
                "for another run"
            )
        said = json.loads(data)
        if not isinstance(said, dict) or not isinstance(said.get("model_type"), str):
            raise ValueError("it names no model_type")
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"model.path: {printable(file)} is no config of transformers ({first_line(error)})"
        ) from error
    return said


def check_dropout(share: float) -> None:
    """Raise UsageError for a dropout that is none."""
    if not 0 <= share < 1:
        raise UsageError(f"model.dropout: {share:g} is no share in [0, 1); type model.dropout=0.1")


def encoder(task: Any, said: Mapping[str, Any], **settings: Any) -> nn.Module:
    """Return a net for the answer that a task wants, its weights drawn as its config says.

    `said` is that config, `settings` what is changed of it. None of its code comes from elsewhere.
    Raises UsageError where words or sentences are more than the net has places for.
    """
    vocabulary, longest, answer = task.vocabulary, task.longest, task.answer
    library = opened()
    kind, (of_library, tag) = str(said["model_type"]), KINDS[answer]
    own = {k: v for k, v in said.items() if k not in ("model_type", "auto_map", "num_labels")}
    others = ("id2label", "label2id", "architectures", "lottery")
    own = {k: v for k, v in own.items() if k not in others}
    try:
        labels = getattr(task, "outputs", 2)
        made = library.AutoConfig.for_model(kind, **own | settings, num_labels=labels)
        made.problem_type = None
        made.use_cache = False
        net: nn.Module = getattr(library, of_library).from_config(made)
    except Exception as error:  # noqa: BLE001 (whatever the library raises for a config)
        raise UsageError(
            f"model.path: transformers makes no net for {answer}s of model_type {kind} "
            f"({first_line(error)}); choose the folder of a BERT"
        ) from error
    words = net.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    if vocabulary > words:
        raise UsageError(
            f"model: it knows {words} word pieces, and the tokenizer of the dataset has "
            f"{vocabulary}; type dataset.tokenizer=FOLDER with the net's own"
        )
    places = getattr(made, "max_position_embeddings", longest)
    if longest > places:
        raise UsageError(
            f"dataset.length={longest}: this net has {places} places for the pieces of a sentence; "
            f"type dataset.length={places}"
        )
    named_by(net)
    net.opens_with = {"name": "transformers", "kind": of_library, "tag": tag}  # type: ignore[assignment]
    return net


def named_by(net: nn.Module) -> None:
    """Let a net say which layers are not pruned unless asked, and how files name its weights.

    Not pruned is what stands behind the encoder, which tasks have each their own of; the net gives
    its scores alone. What a file lacks of that, and of the pooler, is as it was drawn.
    """
    children = [name for name, _ in net.named_children() if name != net.base_model_prefix]
    net.asked = tuple(p for name in children for p in (name, f"{name}.*"))  # type: ignore[assignment]
    net.register_forward_hook(scores)
    prefix, tied = f"{net.base_model_prefix}.", [e for e in masks.names(net).values() if e[1:]]

    def from_file(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        made = translated(found, own, prefix)
        for every in tied:  # a file has a tied tensor under one of its names
            there = next((made[name] for name in every if name in made), None)
            made |= {} if there is None else dict.fromkeys(every, there)
        if any(name.startswith(prefix) for name in made):
            made |= {name: own[name] for name in own if behind(name, prefix) and name not in made}
        return made

    def config_file() -> dict[str, Any]:
        said = json.loads(net.config.to_json_string())  # type: ignore[union-attr,operator]
        return {**said, "architectures": [type(net).__name__]}

    net.config_file = config_file  # type: ignore[assignment]
    net.behind = partial(behind, prefix=prefix)  # type: ignore[assignment]
    net.from_file = from_file  # type: ignore[assignment]
    net.signal = signal  # type: ignore[assignment]


def behind(name: str, prefix: str) -> bool:
    """Say whether a parameter stands behind the encoder, as the pooler does, too."""
    return not name.startswith(prefix) or ".pooler." in name


def signal(net: Any, length: int) -> tuple[Tensor | None, ...]:
    """Return what a net is called with for one text of ones, in place of its embeddings' output.

    Raises UsageError for a net that takes none.
    """
    names = list(inspect.signature(net.forward).parameters)
    if "inputs_embeds" not in names:
        raise UsageError("a signal of ones cannot stand for pieces: this net takes no vectors")
    width = net.get_input_embeddings().weight.shape[1]
    return (*[None] * names.index("inputs_embeds"), torch.ones(1, length, width))


def scores(net: nn.Module, given: Any, made: Any) -> Tensor:
    """Return what a net of transformers gives as scores: of a span its begin and its end, last."""
    found = made.get("logits")
    return torch.stack([made.start_logits, made.end_logits], -1) if found is None else found


def translated(
    found: Mapping[str, Tensor], own: Mapping[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    """Return the weights of a file by the names of a net, of which `own` are the drawn ones.

    A file may hold the encoder alone, or with the head of another task, which is left out.
    """
    made = {}
    bare = not any(name.startswith(prefix) for name in found)
    for name, tensor in found.items():
        new = f"{prefix}{name}" if bare and name not in own else name
        for old, later in OLD.items():
            new = new.replace(old, later)
        if new in own or not (behind(new, prefix) or new.endswith("position_ids")):
            made[new] = tensor
    return made
