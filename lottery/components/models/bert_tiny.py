"""Build a small BERT from nothing."""

from typing import Any

from torch import nn

from lottery.errors import UsageError
from lottery.nets import encoders
from lottery.wording.settings import at_least


def bert_tiny(
    task: Any, *, layers: int, width: int, heads: int, dropout: float, std: float
) -> nn.Module:
    """Return a BERT with so many layers, its weights drawn from N(0, std^2), in BERT 0.02."""
    at_least(1, layers=layers, heads=heads, width=width)
    at_least(0, std=std)
    encoders.check_dropout(dropout)
    if width % heads:
        raise UsageError(
            f"model.width={width} is no multiple of model.heads={heads}; type "
            f"model.width={-(-width // heads) * heads}"
        )
    said = {
        "model_type": "bert",
        "vocab_size": task.vocabulary,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
        "max_position_embeddings": max(128, task.longest),
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "initializer_range": std,
    }
    return encoders.encoder(task, said)
