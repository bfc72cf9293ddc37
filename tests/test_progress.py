import io

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
    assert "1 of 4 epochs" in handle.shown[1] and "left" in handle.shown[1]
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


def test_disabled_says_nothing(capsys):
    with progress.Progress(2, "epochs", disable=True) as bar:
        bar.advance(2, loss=0.5)
    assert capsys.readouterr() == ("", "")
