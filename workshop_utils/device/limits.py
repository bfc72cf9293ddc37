"""What the compact engine takes, and the memory that it needs: read from its own source.

firmware/engine/compact/limits.h is the one place of these numbers.
"""

import re
from functools import cache

from workshop_utils import paths
from workshop_utils.errors import WorkshopError

_FILE = paths.FIRMWARE_DIR / "engine" / "compact" / "limits.h"


@cache
def _constants() -> dict[str, int]:
    """{name of a constant: its number}."""
    try:
        text = _FILE.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise WorkshopError(f"Cannot read {paths.display_path(_FILE)}: {error}.") from error
    found = re.findall(r"^constexpr uint32_t (k\w+) = (\d+);", text, re.MULTILINE)
    return {name: int(number) for name, number in found}


def _constant(name: str) -> int:
    """Raises WorkshopError, a sentence with the file's name, if it lacks the constant."""
    if name not in _constants():
        raise WorkshopError(
            f"{paths.display_path(_FILE)} is damaged: it lacks the constant {name}."
        )
    return _constants()[name]


def most_values() -> int:
    """How many values a layer takes or gives at most."""
    return _constant("kMostValues")


def most_dimensions() -> int:
    """How many dimensions a tensor has at most."""
    return _constant("kMostDimensions")


def activations() -> set[int]:
    """The activation functions that are built in, by their numbers in the schema."""
    return {number for name, number in _constants().items() if name.startswith("kActivation")}


def layer_bytes(is_int8: bool) -> int:
    """What a prepared layer takes of the arena, in bytes."""
    return _constant("kInt8LayerBytes" if is_int8 else "kFloat32LayerBytes")


def multiplier_bytes() -> int:
    """What the multiplier of a tensor or channel takes of the arena, in bytes."""
    return _constant("kMultiplierBytes")
