"""What several test files share: a small trained model in all its forms."""

import os
import signal
import sys
import tempfile
from collections import defaultdict

import numpy as np
import pytest

from workshop_utils import paths, upstream

upstream.import_jsonschema()  # before a test file does, with its grammar, in each process
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A shell lets what it starts in the background ignore these; here commands are to end by them.
for _name, _handler in {
    "SIGINT": signal.default_int_handler,
    "SIGHUP": signal.SIG_DFL,
    "SIGQUIT": signal.SIG_DFL,
}.items():
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)


LONGEST = ["test_course", "test_hub", "test_notebooks", "test_browser", "test_execute"]
LONGEST += ["test_install", "test_firmware", "test_surroundings", "test_training", "test_docs"]
LONGEST += ["test_plain_c", "test_proof", "test_boards", "test_workers", "test_recipes"]
LONGEST += ["test_upstream", "test_fork", "test_contracts", "test_measurements", "test_scaffold"]
LONGEST += ["test_uptodate", "test_tools", "test_generated", "test_doctor", "test_run"]
LONGEST += ["test_arduino", "test_readers", "test_processes"]


def pytest_configure(config):
    """Let all processes share what is compiled: Zig's runtime, which takes ten seconds, and Python.

    Of several processes that collect tests each begins with other files, so that each file is
    compiled by the first to reach it.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:  # those inherit it
        cache = tempfile.TemporaryDirectory(prefix="zig-")
        config.add_cleanup(cache.cleanup)
        os.environ["ZIG_GLOBAL_CACHE_DIR"] = cache.name
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False
    elif config.args_source is config.ArgsSource.TESTPATHS:
        files = sorted(map(str, (config.rootpath / "tests").rglob("test_*.py")))
        share = len(files) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        first = share * int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
        config.args = files[first:] + files[:first]


def pytest_collection_modifyitems(items):
    """Put the files that take longest first, so that no process waits for another's at the end."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (place.get(item.path.stem, len(LONGEST)), item.path))


def pytest_terminal_summary(terminalreporter):
    """Add up what tests that passed recorded (record_property): how much a proof covered."""
    recorded = defaultdict(list)
    for report in terminalreporter.getreports("passed"):
        for name, count in report.user_properties:
            recorded[name].append(count)
    for name, counts in recorded.items():
        terminalreporter.write_line(f"{name}: {sum(counts):,} inputs of {len(counts)} models")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A Home of the test's own; WORKSHOP_HOME names it, for commands and other processes."""
    monkeypatch.setenv("WORKSHOP_HOME", str(tmp_path))
    return paths.home()


@pytest.fixture(scope="session")
def dataset():
    """The course's default dataset."""
    from workshop_utils import data

    return data.split(*data.make(1000, 0.1, seed=1))


@pytest.fixture(scope="session")
def model(dataset):
    """Notebook 04's model, trained just long enough that its weights are its own."""
    from workshop_utils import training

    network = training.larger_network(seed=1)
    training.fit_quietly(network, dataset, epochs=60, batch_size=64)
    return network


@pytest.fixture(scope="session")
def float_tflite(model):
    """That model as a float32 flatbuffer."""
    from workshop_utils import convert

    return convert.to_float(model)


@pytest.fixture(scope="session")
def int8_tflite(model, dataset):
    """That model as an int8 flatbuffer, quantized per tensor."""
    from workshop_utils import convert

    return convert.to_int8(model, dataset.x_train[:500])


@pytest.fixture(scope="session")
def forward():
    """An independent float64 forward pass of a Dense/ReLU network: f(weights, x)."""

    def run(weights, x):
        value = np.asarray(x, np.float64)[:, None]
        layers = list(zip(weights[::2], weights[1::2], strict=True))
        for number, (kernel, bias) in enumerate(layers):
            value = value @ kernel + bias
            if number < len(layers) - 1:
                value = np.maximum(value, 0)
        return value[:, 0]

    return run
