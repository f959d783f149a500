"""Say which keys a config has, and of what types: the first net for a typo."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Train:
    """The skeleton of a recipe."""

    length: str = "???"
    batch_size: int = 128
    optimizer: dict[str, Any] = field(default_factory=dict)
    lr: dict[str, Any] = field(default_factory=dict)
    warmup: str = "0it"
    label_smoothing: float = 0.0
    slimming: float = 0.0
    clip: float | None = None
    precision: str = "fp32"
    channels_last: str = "auto"
    on_nan: str = "stop"


@dataclass
class Prune:
    """The skeleton of a row of the method table."""

    criterion: dict[str, Any] = field(default_factory=dict)
    structure: dict[str, Any] = field(default_factory=dict)
    allocation: dict[str, Any] = field(default_factory=dict)
    update: dict[str, Any] = field(default_factory=dict)
    at: Any = "end"  # a step, or a rule that finds it
    rounds: int = 1
    path: str = "exponential"
    nested: bool = True
    revive: bool = False
    exact: bool = True
    include: list[str] = field(default_factory=lambda: ["*"])
    exclude: list[str] = field(default_factory=list)


@dataclass
class Host:
    """The skeleton of a machine."""

    device: str = "auto"
    threads: int | None = None
    deterministic: bool = False
    progress: str = "auto"
    workers: Any = 1
    gpus_per_job: float | None = None
    threads_per_job: int | None = None
    retries: int = 2


@dataclass
class Config:
    """The skeleton of run.yaml."""

    model: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    train: Train = field(default_factory=Train)
    prune: Prune = field(default_factory=Prune)
    schedule: dict[str, Any] = field(default_factory=dict)
    rewind: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    branches: dict[str, Any] = field(default_factory=dict)
    analyses: dict[str, Any] = field(default_factory=dict)
    loggers: dict[str, Any] = field(default_factory=dict)
    branch_levels: list[int] | None = None
    analysis_levels: list[int] | None = None
    sanity: bool = False
    strict: bool = False
    host: Host = field(default_factory=Host)
    levels: int | None = None
    levels_until: str | None = None
    replicate: int = 0
    evaluate_every: str = "1ep"
    checkpoint_every: str = "60s"
    name: str | None = None
    outputs: str = "outputs"
    data: str = "~/.cache/lottery-data"
