"""Keeping tools that talk to themselves from talking over the lesson."""

import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


def tensorflow() -> None:
    """Tell TensorFlow's C++ side to report errors only. Call it before the first import of Keras.

    Its log lines about CPU features and thread pools go to stderr before Python can filter them,
    so the level has to stand in the environment before the library is loaded.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


@contextmanager
def held() -> Iterator[list[str]]:
    """Hold back what a library prints, from Python and from C++ code alike.

    C++ code writes to the process's file descriptors, past Python's `sys.stdout`; a notebook's
    `sys.stdout` in turn is no file descriptor; loggers keep the stream that they found first. So
    all three are held. When the block is over, the list that it got has what was held back.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    texts: list[str] = []
    printed, threshold = io.StringIO(), logging.root.manager.disable
    logging.disable(logging.WARNING)
    with tempfile.TemporaryFile() as file:
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            with redirect_stdout(printed):
                yield texts
        finally:
            logging.disable(threshold)
            for descriptor, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
            file.seek(0)
            texts += [printed.getvalue(), file.read().decode(errors="replace")]


@contextmanager
def output() -> Iterator[None]:
    """The same, and if the block raises, what was held back is printed to stderr."""
    texts: list[str] = []
    try:
        with held() as texts:
            yield
    except BaseException:
        print(*texts, file=sys.stderr)
        raise
