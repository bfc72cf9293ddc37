"""The exceptions that the course raises on purpose, and the most common reason for one."""

from numbers import Integral
from typing import Any


class WorkshopError(ValueError):
    """Something that the person at the keyboard can put right, said in one sentence.

    Notebooks show the sentence alone: IPython asks an exception for `_render_traceback_`
    and prints what it returns in place of a traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"\033[1;31mPlease note:\033[0m {self}"]


class MissingArtifact(WorkshopError, FileNotFoundError):
    """A file that an earlier notebook makes is not there yet."""

    def __str__(self) -> str:  # FileNotFoundError would print an errno and a file name.
        return str(self.args[0])


class TflmUnavailable(WorkshopError, ImportError):
    """TensorFlow Lite for Microcontrollers has no Python package for this machine."""

    def __str__(self) -> str:  # ImportError would print the name of a module.
        return str(self.args[0])


def with_command(text: str, command: str) -> str:
    """A message that ends with a command, on a line of its own so that it can be copied whole."""
    return f"{text}\n\n    {command}"


def missing_package(purpose: str, package: str) -> WorkshopError:
    """The error for a Python package that is not there. purpose: 'Reading an image'."""
    text = f"{purpose} takes the Python package {package}, which is missing; in a terminal:"
    return WorkshopError(with_command(text, "./install.sh"))


def require_int(name: str, value: Any, smallest: int, largest: int) -> None:
    """Raise WorkshopError unless the parameter `name` is an integer in [smallest, largest]."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise WorkshopError(f"{name} is {value!r}, but must be a whole number.")
    if not smallest <= int(value) <= largest:
        raise WorkshopError(f"{name} is {value}, but must be from {smallest} to {largest:,}.")
