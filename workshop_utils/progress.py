"""A progress bar that leaves one plain line behind, in a notebook and in a terminal."""

import io

from tqdm import tqdm


class Progress(tqdm):
    """tqdm's bar, shown through IPython's display when a notebook kernel runs it.

    tqdm repaints its line with carriage returns, and a saved notebook would keep every one of
    them. A display handle is updated in place: what stays is the last line.
    """

    def __init__(self, total, unit, disable=False):
        self._handle = _display_handle() if not disable else None
        self._first = None  # when the first steps were done, and how many: they include a warm-up
        bar = "{desc}{percentage:3.0f}% |{bar}| {n_fmt} of {total_fmt} " + unit
        super().__init__(
            total=total,
            file=io.StringIO() if self._handle else None,
            disable=disable,
            leave=True,
            ncols=100,
            miniters=1,
            mininterval=0,
            bar_format=bar + "{postfix}",
        )

    def display(self, msg=None, pos=None):
        """Show the bar as it stands; tqdm calls this whenever something moved."""
        if self._handle is None:
            super().display(msg, pos)
        elif msg != "":
            self._handle.update({"text/plain": str(self)}, raw=True)

    def advance(self, steps, **figures):
        """Move on by `steps`; show the figures, four digits after the point, and the time left.

        At the end there is one line: how far it got and the last figures.
        """
        if self.disable:
            return
        done = self.n + steps
        text = [f"{name} {value:.4f}" for name, value in figures.items()]
        self.set_postfix_str(", ".join([*text, *self._time_left(done)]), refresh=False)
        self.update(steps)

    def _time_left(self, done):
        """A list of one text such as '12 s left'; empty as long as nobody can know, and at the end.

        The first steps are left out of the estimate, since code is compiled during them.
        """
        now = self._time()
        if self._first is None:
            self._first = now, done
            return []
        began, before = self._first
        if done >= self.total:
            return []
        seconds = round((now - began) / (done - before) * (self.total - done))
        minutes, rest = divmod(max(1, seconds), 60)
        return [f"{minutes} min {rest:02} s left" if minutes else f"{rest} s left"]


def _display_handle():
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
