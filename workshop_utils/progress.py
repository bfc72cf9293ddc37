"""Progress, said in one way everywhere: a bar that leaves one plain line behind, and time left."""

import io
import time
from typing import Any

from tqdm import tqdm


def bar_layout(unit: str) -> str:
    """How a bar of tqdm looks. It goes without tqdm's own estimate of the time left."""
    return "{desc}{percentage:3.0f}% |{bar}| {n_fmt} of {total_fmt} " + unit + "{postfix}"


def time_left(seconds: float) -> str:
    """'12 s left', '3 min 16 s left'."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s left" if minutes else f"{rest} s left"


class Pace:
    """How long the rest is going to take, if it goes on as it went.

    total: how many steps there are. warm_up: so many of the first marks are left out of the
    estimate as soon as there are twice as many, since first steps take longer: they compile.
    """

    def __init__(self, total: int, warm_up: int = 0) -> None:
        self.total, self._warm_up = total, warm_up
        self._marks: list[tuple[float, int]] = []

    def mark(self, done: int) -> float | None:
        """Note that so many steps are done by now. Returns seconds left; None if nobody can know.

        The time before the first mark does not count.
        """
        now = time.monotonic()
        if len(self._marks) <= 2 * self._warm_up:  # later ones are not asked for
            self._marks.append((now, done))
        began, before = self._marks[(len(self._marks) - 1) // 2]
        if done == before:
            return None
        return (now - began) / (done - before) * (self.total - done)


class Progress(tqdm):  # type: ignore[misc]  # tqdm has no types
    """tqdm's bar, shown through IPython's display when a notebook kernel runs it.

    tqdm repaints its line with carriage returns, and a saved notebook would keep every one of
    them. A display handle is updated in place: what stays is the last line.
    """

    def __init__(self, total: int, unit: str, disable: bool = False) -> None:
        self._handle = _display_handle() if not disable else None
        self._pace = Pace(total)  # from the end of the first steps on: they include a warm-up
        super().__init__(
            total=total,
            file=io.StringIO() if self._handle else None,
            disable=disable,
            leave=True,
            ncols=100,
            miniters=1,
            mininterval=0,
            bar_format=bar_layout(unit),
        )

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the bar as it stands; tqdm calls this whenever something moved."""
        if self._handle is None:
            super().display(msg, pos)
        elif msg != "":
            self._handle.update({"text/plain": str(self)}, raw=True)

    def advance(self, steps: int, **figures: float) -> None:
        """Move on by `steps`; show the figures, four digits after the point, and the time left.

        At the end there is one line: how far it got and the last figures.
        """
        if self.disable:
            return
        text = [f"{name} {value:.4f}" for name, value in figures.items()]
        seconds = self._pace.mark(self.n + steps)
        if seconds is not None and self.n + steps < self.total:
            text.append(time_left(max(1, seconds)))
        self.set_postfix_str(", ".join(text), refresh=False)
        self.update(steps)


def _display_handle() -> Any:
    """An IPython display handle if a notebook kernel runs this, else None."""
    try:
        from IPython import get_ipython
        from IPython.display import DisplayHandle
    except ImportError:
        return None
    if getattr(get_ipython(), "kernel", None) is None:
        return None
    handle = DisplayHandle()
    handle.display({"text/plain": ""}, raw=True)
    return handle
