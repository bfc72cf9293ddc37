"""Progress, said in one way everywhere: a bar that leaves one plain line behind, and time left."""

import io
import time
from typing import Any

from tqdm import tqdm

COLUMNS = 70  # of a bar and what stands beside it: a narrow notebook or terminal shows all of it


def bar_layout(unit: str) -> str:
    """How a bar of tqdm looks. It goes without tqdm's own estimate of the time left."""
    return "{desc}{percentage:3.0f}% |{bar}| " + _without_bar(unit)


def _without_bar(unit: str) -> str:
    return "{n_fmt} of {total_fmt} " + unit + "{postfix}"


def time_left(seconds: float) -> str:
    """'12 s left', '3 min 16 s left', '12 min left'."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 10:
        return f"{minutes} min left"
    return f"{minutes} min {rest:02} s left" if minutes else f"{rest} s left"


def figure(value: float) -> str:
    """A number in six characters or fewer: four digits after the point, while there is room."""
    if not abs(value) < 1e5:
        return f"{value:.0e}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.5g}"


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
    them. A display handle is updated in place: what stays is the last line. The line has COLUMNS
    characters at most. The bar gets what the figures leave, and goes where they leave nothing.
    """

    def __init__(self, total: int, unit: str, disable: bool = False) -> None:
        self._handle = _display_handle() if not disable else None
        self._unit = unit
        self._pace = Pace(total)  # from the end of the first steps on: they include a warm-up
        super().__init__(
            total=total,
            file=io.StringIO() if self._handle else None,
            disable=disable,
            leave=True,
            ncols=COLUMNS,
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

    def say(self, text: str) -> None:
        """Show a word in place of the figures, until the next step."""
        if not self.disable:
            self._beside(text)
            self.refresh()

    def advance(self, steps: int, **figures: float) -> None:
        """Move on by `steps`; show the figures and the time left.

        At the end there is one line: how far it got and the last figures.
        """
        if self.disable:
            return
        text = [f"{name} {figure(value)}" for name, value in figures.items()]
        seconds = self._pace.mark(self.n + steps)
        if seconds is not None and self.n + steps < self.total:
            text.append(time_left(max(1, seconds)))
        self._beside(", ".join(text), self.n + steps)
        self.update(steps)

    def _beside(self, text: str, done: int = 0) -> None:
        """Note what is to stand beside the bar, and leave the bar out where there is no room."""
        beside = f"100% || {done} of {self.total} {self._unit}, {text}"
        room = len(beside) < COLUMNS
        self.bar_format = bar_layout(self._unit) if room else _without_bar(self._unit)
        self.set_postfix_str(text, refresh=False)


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
