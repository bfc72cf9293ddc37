import io
import re

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
    assert re.search(r"2 of 4 epochs, loss 0\.5000, \d+ s left$", handle.shown[2])
    assert "100%" in handle.shown[-1] and "loss 0.2500" in handle.shown[-1]
    assert "left" not in handle.shown[-1]
    assert not any("\n" in line or "\r" in line for line in handle.shown)
    assert capsys.readouterr() == ("", "")


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
        now = [bar._time()]
        monkeypatch.setattr(bar, "_time", lambda: now[0])
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


def test_disabled_says_nothing(capsys):
    with progress.Progress(2, "epochs", disable=True) as bar:
        bar.advance(2, loss=0.5)
    assert capsys.readouterr() == ("", "")
