"""The course's own exceptions: one sentence each, and what a parameter may be."""

import numpy as np
import pytest

from workshop_utils.errors import (
    MissingArtifact,
    TflmUnavailable,
    WorkshopError,
    missing_package,
    require_int,
    with_command,
)


@pytest.mark.parametrize("value", [2, 5, np.int64(2), np.uint8(5)])
def test_integers_from_end_to_end_are_right(value):
    require_int("X", value, 2, 5)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, r"X is 1, but must be from 2 to 5,000\."),
        (5001, r"X is 5001, but must be from 2 to 5,000\."),
        (True, r"X is True, but must be a whole number\."),
        (3.0, r"X is 3\.0, but must be a whole number\."),
        ("3", r"X is '3', but must be a whole number\."),
        (None, r"X is None, but must be a whole number\."),
    ],
)
def test_what_is_no_such_integer_is_one_sentence(value, words):
    with pytest.raises(WorkshopError, match=f"^{words}$"):
        require_int("X", value, 2, 5000)


@pytest.mark.parametrize("kind", [WorkshopError, MissingArtifact, TflmUnavailable])
def test_a_notebook_shows_the_sentence_alone(kind):
    error = kind("It is so.")
    assert str(error) == "It is so."
    (line,) = error._render_traceback_()
    assert line.endswith(" It is so.") and "Please note" in line


def test_a_command_stands_on_a_line_of_its_own():
    error = missing_package("Reading an image", "pyelftools")
    assert isinstance(error, WorkshopError)
    assert str(error).splitlines()[1:] == ["", "    ./install.sh"]
    assert with_command("Do this:", "workshop doctor") == "Do this:\n\n    workshop doctor"


def test_each_is_also_what_python_code_expects():
    assert issubclass(WorkshopError, ValueError)
    assert issubclass(MissingArtifact, FileNotFoundError)
    assert issubclass(TflmUnavailable, ImportError)
