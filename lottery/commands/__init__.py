"""The commands of the command line, one file each."""

from lottery.errors import UsageError


def options(
    arguments: list[str], usage: str | None, known: dict[str, str]
) -> tuple[list[str] | None, dict[str, str]]:
    """Return the plain words and the KEY=VALUE settings of a command.

    The words are None where help was asked for, and has been printed. Raises UsageError for a
    key or a flag that is not known.
    """
    words: list[str] = []
    chosen = dict(known)
    for word in arguments:
        key, equals, value = word.partition("=")
        if word in ("-h", "--help"):
            print(usage or "")
            return None, chosen
        if equals and key in known:
            chosen[key] = value
        elif equals or word.startswith("-"):
            raise UsageError(
                f"there is no option '{word}' here (there are: "
                f"{', '.join(f'{k}=' for k in known)}, --help)"
            )
        else:
            words.append(word)
    return words, chosen
