"""What may be printed on a terminal: texts from other computers, made harmless."""

from typing import Any


def printable(value: Any, keep: str = "") -> Any:
    """`value` without characters that could move the cursor or turn the direction of writing.

    A text gets a space in place of each of them; lists and dicts are gone through to their last
    text, names included; anything else stays as it is. keep: characters that may stay, such as
    line breaks.
    """
    if isinstance(value, str):
        if value.isprintable():
            return value
        unwanted = [one for one in set(value) if not (one.isprintable() or one in keep)]
        return value.translate(dict.fromkeys(map(ord, unwanted), " "))
    if isinstance(value, dict):
        return {printable(name, keep): printable(item, keep) for name, item in value.items()}
    if isinstance(value, list):
        return [printable(item, keep) for item in value]
    return value


def clipped(text: str, most: int) -> str:
    """The text, or as much of it as fits into `most` characters, with an ellipsis at its end."""
    return text if len(text) <= most else text[: most - 1] + "…"
