"""Hold a composed config."""

from dataclasses import dataclass
from typing import Any

from lottery.errors import UsageError


@dataclass(frozen=True)
class Composed:
    """One config, and its place among those of the command."""

    filled: dict[str, Any] | UsageError  # everything filled in, or why that cannot be
    choices: dict[str, str]  # the options that it was composed of: model -> resnet20
    overrides: tuple[str, ...]  # those of this job; of a sweep's, what sets it apart
    words: tuple[str, ...]  # all that it is composed of, with flags: what does it alone
    number: int  # counts from 0
    total: int  # jobs of the command

    @property
    def settings(self) -> dict[str, Any]:
        """Return the config as plain dicts; raises UsageError."""
        if isinstance(self.filled, UsageError):
            raise self.filled
        return self.filled

    @property
    def name(self) -> str:
        """The folder name of a run that gives none: its choices in words."""
        return default_name(self.choices)


def default_name(choices: dict[str, str]) -> str:
    """Return the folder name of a run: its choices in words."""
    groups = ("experiment", "prune") if choices.get("experiment") else ("model", "dataset", "prune")
    return "_".join(choices[group] for group in groups).replace("/", "-")
