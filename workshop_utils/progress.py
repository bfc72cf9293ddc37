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
        bar = "{desc}{percentage:3.0f}% |{bar}| {n_fmt} of {total_fmt} " + unit
        super().__init__(
            total=total,
            file=io.StringIO() if self._handle else None,
            disable=disable,
            leave=True,
            ncols=100,
            miniters=1,
            mininterval=0,
            bar_format=bar + "{postfix}, {remaining} left",
        )

    def display(self, msg=None, pos=None):
        """Show the bar as it stands; tqdm calls this whenever something moved."""
        if self._handle is None:
            super().display(msg, pos)
        elif msg != "":
            self._handle.update({"text/plain": str(self)}, raw=True)

    def advance(self, steps, **figures):
        """Move on by `steps` and show the figures, four digits after the point."""
        text = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self.set_postfix_str(text, refresh=False)
        self.update(steps)

    def close(self):
        """Leave one line: how far it got and the last figures, no clock that ends at zero."""
        if not self.disable:
            self.bar_format = self.bar_format.replace(", {remaining} left", "")
        super().close()


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
