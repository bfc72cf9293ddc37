"""What libraries print is held back, and shown if they fail."""

import logging
import os
import sys

import pytest

from workshop_utils import quiet


def chatter():
    """Print in the three ways that libraries have."""
    print("from Python")
    os.write(1, b"from C++\n")
    os.write(2, b"and its errors\n")
    logging.getLogger("chatter").warning("from a logger")


def test_all_ways_of_printing_are_held_back(capfd):
    with quiet.output():
        chatter()
    print("after")
    printed, errors = capfd.readouterr()
    assert (printed, errors) == ("after\n", "")


def test_what_was_held_back_is_shown_when_the_block_raises(capfd):
    with pytest.raises(ZeroDivisionError), quiet.output():
        chatter()
        1 / 0  # noqa: B018
    sys.stderr.flush()
    printed, errors = capfd.readouterr()
    assert printed == ""
    for line in ("from Python", "from C++", "and its errors"):
        assert line in errors


def test_tensorflows_level_can_be_chosen_from_outside(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    quiet.tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
