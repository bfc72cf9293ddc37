"""Does a model suit a board? Said on the desktop, before anything is compiled.

Whether the engine can run the model at all is `diagnosis`'s; what is added here is the board's
memory.
"""

from workshop_utils.device import diagnosis, limits, tflite
from workshop_utils.device.boards import Board
from workshop_utils.device.elf import Elf
from workshop_utils.device.tflite import Model
from workshop_utils.errors import WorkshopError

# The least that the firmware takes besides the model, in bytes: a bound that no build is below, so
# that nothing is refused here that would fit. What a build really takes is checked at its end.
FLASH_AROUND = {"compact": 3_500, "tflm": 20_000}
_RAM_AROUND = 256  # variables and stack


def check(
    content: bytes, board: Board, engine: str = "compact", program: str | None = None
) -> None:
    """Raise WorkshopError, one sentence, if the model cannot run on the board.

    content: flatbuffer. engine, program: as for `diagnosis.problem`.
    """
    model = diagnosis.check(content, engine, program)
    if sentence := problem(model, board, engine):
        raise WorkshopError(sentence)


def problem(model: Model, board: Board, engine: str = "compact") -> str | None:
    """Why a board has no room for a model that the engine can run: one sentence, or None."""
    return _problem_of_flash(len(model.content), board, engine) or _problem_of_ram(
        model, board, engine
    )


# ---- Memory


def _problem_of_flash(size: int, board: Board, engine: str) -> str | None:
    if board.flash is None or engine == "generated":
        return None  # plain C is smaller than the flatbuffer that it is made of
    room, around = board.flash.size, FLASH_AROUND[engine]
    if size + around <= room:
        return None
    rest = f", the firmware around it at least {around:,}" if size <= room else ""
    return (
        f"The model does not fit: it has {size:,} bytes{rest}, and the flash of the {board.title} "
        f"has {room:,}; take narrower layers."
    )


def arena_bytes(content: bytes) -> int:
    """What the compact engine takes of its arena for this model, in bytes: prepared layers, their
    multipliers, zeros where a bias is missing, and two buffers for what flows between layers.

    content: flatbuffer, of a kind that the engine runs. Raises WorkshopError if it is damaged.
    """
    return _arena_bytes(tflite.parse(content))


def _arena_bytes(model: Model) -> int:
    int8 = diagnosis.is_int8(model)
    used = widest = 0
    for operator in model.operators:
        used += limits.layer_bytes(int8)
        if operator.outputs:
            widest = max(widest, model.tensors[operator.outputs[0]].size)
        if int8 and len(operator.inputs) > 1:
            used += limits.multiplier_bytes() * len(model.tensors[operator.inputs[1]].scales)
        if operator.outputs and (*operator.inputs, -1, -1)[2] == -1:  # no bias, so zeros instead
            used += 4 * model.tensors[operator.outputs[0]].size
    return used + (2 * widest * (1 if int8 else 4) + 3) // 4 * 4


def _problem_of_ram(model: Model, board: Board, engine: str) -> str | None:
    if engine != "compact" or board.ram is None:
        return None  # TFLM says itself what it needs, when the board starts
    needed = _arena_bytes(model) + _RAM_AROUND
    if needed <= board.ram.size:
        return None
    return (
        f"The engine needs {needed:,} bytes of RAM for this model, and the {board.title} has "
        f"{board.ram.size:,}; take narrower layers."
    )


def check_arena(content: bytes, image: Elf, board: Board, engine: str = "compact") -> None:
    """Raise WorkshopError if a finished image leaves too little RAM for the model.

    content: flatbuffer. image: says in `arena_start` and `arena_end` what is left. Only the compact
    engine's need is known; TFLM says itself, when the board starts, if it lacks memory.
    """
    start, end = (image.symbols.get(name) for name in ("arena_start", "arena_end"))
    if engine != "compact" or start is None or end is None or board.ram is None:
        return
    needed, left = arena_bytes(content), end - start
    if needed > left:
        raise WorkshopError(
            f"The model does not fit: the engine needs {needed:,} bytes of RAM for it, and of the "
            f"{board.ram.size:,} of the {board.title} {left:,} are left; take narrower layers."
        )
