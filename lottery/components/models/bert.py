"""Build a net of transformers from a folder that says what it is."""

from typing import Any

from torch import nn

from lottery.errors import UsageError
from lottery.nets import encoders
from lottery.storage.installed import place


def bert(task: Any, *, path: str | None, sha256: str | None, dropout: float | None) -> nn.Module:
    """Return the net that the config.json of a folder describes, its weights drawn as it says.

    Those of the folder come with start=pretrained, which model=bert brings along. With `dropout`
    that of hidden states and of attention is another. The net's own head is one for the task;
    encoder and pooler are pruned, neither embeddings nor head (Chen et al. 2020). Raises UsageError
    for a folder without such a config, and for one of another content than `sha256`.
    """
    task.vocabulary  # noqa: B018 (images are refused first)
    if path is None:
        raise UsageError(
            "model.path: give the folder of a net as transformers saves it, model.path=FOLDER"
        )
    changed = {}
    if dropout is not None:
        encoders.check_dropout(dropout)
        changed = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return encoders.encoder(task, encoders.config_in(place(path, "model.path"), sha256), **changed)
