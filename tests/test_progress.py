import io
import re
import time
from types import SimpleNamespace

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from workshop_utils import progress


class Handle:
    """Plays IPython's display handle: keeps every text it is asked to show."""

    def __init__(self):
        self.shown = []

    def update(self, data, raw):
        assert raw
        self.shown.append(data["text/plain"])


def test_a_notebook_keeps_one_line(monkeypatch, capsys):
    handle = Handle()
    monkeypatch.setattr(progress, "_display_handle", lambda: handle)
    with progress.Progress(4, "epochs") as bar:
        for step in range(4):
            bar.advance(1, loss=1 / (step + 1))
    assert "1 of 4 epochs, loss 1.0000" in handle.shown[1]
    assert handle.shown[2].endswith(" 1 s left"), "A rest is never nothing."
    assert re.search(r"2 of 4 epochs, loss 0\.5000, \d+ s left$", handle.shown[2])
    assert "100%" in handle.shown[-1] and "loss 0.2500" in handle.shown[-1]
    assert "left" not in handle.shown[-1]
    assert not any("\n" in line or "\r" in line for line in handle.shown)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_has_a_place_for_the_line_before_it_moves(monkeypatch):
    """Jupyter drops an update of a display that nobody has shown."""
    shell = SimpleNamespace(kernel=True, display_pub=CapturingDisplayPublisher())
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr(InteractiveShell, "initialized", lambda: True)
    monkeypatch.setattr(InteractiveShell, "instance", lambda: shell)
    with progress.Progress(2, "epochs") as bar:
        bar.advance(2, loss=0.5)
    shown = shell.display_pub.outputs
    assert [message["update"] for message in shown] == [False] + [True] * (len(shown) - 1)
    assert len({message["transient"]["display_id"] for message in shown}) == 1
    assert "2 of 2 epochs, loss 0.5000" in shown[-1]["data"]["text/plain"]


def test_a_terminal_gets_tqdm(monkeypatch):
    monkeypatch.setattr(progress, "_display_handle", lambda: None)
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with progress.Progress(2, "epochs") as bar:
        bar.advance(2, loss=0.5)
    assert "2 of 2 epochs, loss 0.5000" in stream.getvalue()


def test_the_time_left_does_not_count_the_warm_up(monkeypatch):
    """The first step compiles for 30 s, the others take 2 s each."""
    handle = Handle()
    monkeypatch.setattr(progress, "_display_handle", lambda: handle)
    with progress.Progress(100, "epochs") as bar:
        now = [time.monotonic()]
        monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
        for seconds in (30, 2, 2):
            now[0] += seconds
            bar.advance(1, loss=0.5)
        assert "left" not in handle.shown[1]
        assert handle.shown[2].endswith("2 of 100 epochs, loss 0.5000, 3 min 16 s left")
        assert handle.shown[3].endswith("3 of 100 epochs, loss 0.5000, 3 min 14 s left")
        now[0] += 2 * 90
        bar.advance(90, loss=0.5)
        assert handle.shown[4].endswith("93 of 100 epochs, loss 0.5000, 14 s left")
        bar.advance(7, loss=0.5)
    assert handle.shown[-1].endswith("100 of 100 epochs, loss 0.5000")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s left"),
        (59.4, "59 s left"),
        (59.6, "1 min 00 s left"),
        (196, "3 min 16 s left"),
        (599, "9 min 59 s left"),
        (754, "12 min left"),
    ],
)
def test_time_left(seconds, text):
    assert progress.time_left(seconds) == text


@pytest.mark.parametrize("values", [(0.0106, 0.0095), (123456.7, 99999.96), (float("nan"), 12.3)])
@pytest.mark.parametrize("total", [4, 500, 9999, 100_000])
@pytest.mark.parametrize("pace", [0.001, 0.01, 3])
def test_the_line_has_70_characters_at_most_and_all_figures(monkeypatch, values, total, pace):
    handle, now = Handle(), [0.0]
    monkeypatch.setattr(progress, "_display_handle", lambda: handle)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    figures = dict(zip(("loss", "val_loss"), values, strict=True))
    with progress.Progress(total, "epochs") as bar:
        for steps in (1, total - 2, 1):
            now[0] += steps * pace
            bar.advance(steps, **figures)
    for line in handle.shown:
        assert len(line) <= 70, line
    for line in handle.shown[1:]:
        assert f" of {total} epochs, loss {progress.figure(values[0])}, val_loss" in line
        assert progress.figure(values[1]) in line
    assert handle.shown[2].endswith(" left") and " left" not in handle.shown[-1]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01064, "0.0106"), (9.99994, "9.9999"), (12.3456, "12.346"), (99999.4, "99999"),
     (123456.0, "1e+05"), (float("nan"), "nan"), (float("inf"), "inf"), (-0.5, "-0.5000")],
)  # fmt: skip
def test_a_figure(value, text):
    assert progress.figure(value) == text


def test_a_word_stands_in_place_of_the_figures_until_the_next_step(monkeypatch):
    handle = Handle()
    monkeypatch.setattr(progress, "_display_handle", lambda: handle)
    with progress.Progress(500, "epochs") as bar:
        bar.say("TensorFlow compiles")
        assert handle.shown[-1].endswith("| 0 of 500 epochs, TensorFlow compiles")
        bar.advance(20, loss=0.5)
    assert handle.shown[-1].endswith("| 20 of 500 epochs, loss 0.5000")


def test_the_pace_leaves_slow_first_steps_out_as_soon_as_it_can(monkeypatch):
    """Two steps of 50 s, then eight of 1 s."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    pace, seconds = progress.Pace(10, warm_up=2), []
    for done in range(11):
        now[0] += 50 if 1 <= done <= 2 else 1
        seconds.append(pace.mark(done))
    assert seconds[0] is None and seconds[1] == 450
    assert seconds[4:] == [6, 5, 4, 3, 2, 1, 0]


def test_what_was_done_before_is_no_speed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    pace = progress.Pace(100)
    assert pace.mark(90) is None
    now[0] = 10
    assert pace.mark(91) == 90


def test_disabled_says_nothing(capsys):
    with progress.Progress(2, "epochs", disable=True) as bar:
        bar.advance(2, loss=0.5)
    assert capsys.readouterr() == ("", "")
