"""Kernels that are forked: as new as any other, each by itself, and none outlives what made it."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
from jupyter_core.utils import run_sync
from notebook_factory import printed, write_notebook
from traitlets.config import Config

from workshop_utils import paths, upstream
from workshop_utils.running import course, fork, notebooks

pytestmark = pytest.mark.skipif(not fork.SOUND, reason="kernels are forked on Linux alone")

PATIENCE = 300  # seconds
# A zygote for tests that want none of TensorFlow
QUICK = fork._CODE.replace("fork.serve", "fork._IMPORTS = fork._IMPORTS[:2]; fork.serve")


@pytest.fixture(scope="module")
def zygote():
    with contextlib.closing(fork.Zygote()) as one:
        yield one


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the kernels run, with a notebook that is worth waiting for."""
    path = tmp_path_factory.mktemp("kernels")
    write_notebook(path / "keras.ipynb", "import keras")
    return path


@contextlib.contextmanager
def kernel(folder, zygote=None, is_forked=True, **env):
    """A kernel's manager, and a function that has it execute code and returns what it printed."""
    ours = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    tensorflow = {name: fork._ENVIRONMENT[name] for name in fork._ENVIRONMENT if name[:3] == "TF_"}
    manager, _ = upstream.kernel_manager("python3")
    if zygote:
        upstream.provide(manager, fork.Provisioner, zygote=zygote)
    env = {**ours, **tensorflow, "JPY_SESSION_NAME": str(folder / "keras.ipynb"), **env}
    run_sync(manager.start_kernel)(cwd=str(folder), env=env, stderr=subprocess.DEVNULL)
    assert isinstance(manager.provisioner.process, fork.Forked) == bool(zygote and is_forked)
    client = manager.client()
    client.start_channels()
    try:
        run_sync(client.wait_for_ready)(timeout=PATIENCE)

        def ask(code):
            said = []
            run_sync(client.execute_interactive)(
                code,
                timeout=PATIENCE,
                output_hook=lambda message: said.append(
                    message["content"].get("text") or message["content"].get("ename", "")
                ),
            )
            return "".join(said).strip()

        yield manager, ask
    finally:
        client.stop_channels()
        run_sync(manager.shutdown_kernel)(now=True)


def eventually(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


STATE = """
import json, logging, os, signal, sys, threading, warnings
import numpy, pandas, matplotlib.pyplot as plt, tensorflow, keras

def handlers(name):
    logger = logging.getLogger(name)
    # The stream of ipykernel's own has a file descriptor for a name, the next that was free.
    return logger.level, [(type(h).__name__, h.stream.name if isinstance(h.stream.name, str)
                           else "a descriptor") for h in logger.handlers]

print(json.dumps({
    "arguments": sys.argv[:1] + sys.argv[3:],
    "path": sys.path,
    "folder": os.getcwd(),
    "environment": {k: v for k, v in os.environ.items() if k != "JPY_PARENT_PID"},
    "signals": {s: str(signal.getsignal(s)).split(" at ")[0] for s in range(1, 32)},
    "blocked": [int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "input": sys.__stdin__.read(),
    "warnings": sorted(map(str, warnings.filters)),
    "loggers": [handlers(name) for name in (None, "tensorflow", "absl", "IPKernelApp")],
    "tables": pandas.describe_option(_print_desc=False).lower(),  # "utf-8", too
    "pictures": [str(dict(plt.rcParams)), plt.get_backend(), plt.isinteractive()],
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "modules": sorted(name for name in sys.modules if "." not in name),
    "layer": keras.layers.Dense(1).name,
    "names": sorted(name for name in globals() if not name.startswith("_")),
}, default=str))
"""


def test_a_forked_kernel_is_as_new_as_one_that_was_started(zygote, folder, tmp_path):
    with kernel(folder, WORKSHOP_HOME=str(tmp_path)) as (_, ask):
        expected = json.loads(ask(STATE))
    with (
        kernel(folder, zygote, WORKSHOP_HOME="elsewhere"),
        kernel(folder, zygote, WORKSHOP_HOME=str(tmp_path)) as (_, ask),
    ):
        found = json.loads(ask(STATE))
    for name, value in expected.items():
        assert found[name] == value, name


def test_kernels_share_one_import_and_nothing_else(zygote, folder):
    draw = """
import os, random, sys
is_there = "tensorflow" in sys.modules
import numpy, pandas, tensorflow
print(is_there, os.getppid(), hasattr(pandas, "mark"), "left" in globals(), os.getpid(),
      random.random(), numpy.random.rand(), float(tensorflow.random.uniform([])))
pandas.mark = left = 1
"""
    with kernel(folder, zygote) as (_, first), kernel(folder, zygote) as (_, second):
        answers = [first(draw).split(), second(draw).split()]
    parents = {parent for _, parent, *_ in answers}
    assert len(parents) == 1
    for is_there, _, *shared, _, _, _, _ in answers:
        assert is_there == "True" and shared == ["False", "False"]
    for own in zip(*(answer[-4:] for answer in answers), strict=True):
        assert own[0] != own[1]


def test_an_interrupt_and_an_end_are_for_one_kernel_and_what_it_started(zygote, folder, tmp_path):
    flag = tmp_path / "begun"
    child = "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)"
    with kernel(folder, zygote) as (_, other):
        with kernel(folder, zygote) as (manager, ask):

            def interrupt():
                eventually(flag.exists)
                run_sync(manager.interrupt_kernel)()

            thread = threading.Thread(target=interrupt)
            thread.start()
            loop = f"import os, pathlib; pathlib.Path({str(flag)!r}).touch()\nwhile True: pass"
            assert ask(loop) == "KeyboardInterrupt"
            thread.join()
            own, started = int(ask("print(os.getpid())")), int(ask(child))
        eventually(lambda: is_gone(own) and is_gone(started))
        assert other("print(6 * 7)") == "42"


def test_a_kernel_that_dies_is_missed_and_can_be_started_again(zygote, folder):
    with kernel(folder, zygote) as (manager, ask):
        own = int(ask("import os; print(os.getpid())"))
        os.kill(own, signal.SIGKILL)
        eventually(lambda: not run_sync(manager.is_alive)())
        run_sync(manager.restart_kernel)(now=True)
        assert run_sync(manager.is_alive)()
        assert manager.provisioner.pid != own


def test_a_kernel_with_other_variables_starts_as_ever(zygote, folder):
    with kernel(folder, zygote):
        pass
    with kernel(folder, zygote, is_forked=False, TF_NUM_INTRAOP_THREADS="1") as (_, ask):
        assert ask("import os; print(os.environ['TF_NUM_INTRAOP_THREADS'])") == "1"


def test_without_a_zygote_that_can_a_kernel_starts_as_ever(folder, monkeypatch):
    monkeypatch.setattr(fork, "_CODE", "raise SystemExit('no imports today')")
    with (
        contextlib.closing(fork.Zygote()) as broken,
        kernel(folder, broken, is_forked=False) as (_, ask),
    ):
        assert ask("print(6 * 7)") == "42"


def test_a_kernel_whose_zygote_was_killed_ends_and_the_next_one_has_another(folder, monkeypatch):
    monkeypatch.setattr(fork, "_CODE", QUICK)
    with contextlib.closing(fork.Zygote()) as zygote:
        with kernel(folder, zygote) as (manager, ask):
            os.kill(int(ask("import os; print(os.getppid())")), signal.SIGKILL)
            eventually(lambda: not run_sync(manager.is_alive)())
        with kernel(folder, zygote) as (_, ask):
            assert ask("print(6 * 7)") == "42"


def test_where_a_kernel_cannot_be_forked_it_starts_as_ever(folder, monkeypatch):
    refuse = "def refuse(*_): raise OSError('not here')\nimport os\n"
    for call in ("fork", "pidfd_open"):
        code = f"{refuse}os.{call} = refuse\n{QUICK}"
        monkeypatch.setattr(fork, "_CODE", code)
        with (
            contextlib.closing(fork.Zygote()) as refusing,
            kernel(folder, refusing, is_forked=False) as (_, ask),
        ):
            assert ask("print(6 * 7)") == "42"
            assert refusing.is_ready


def test_whoever_imports_no_tensorflow_does_not_wait_for_it(folder, monkeypatch):
    monkeypatch.setattr(fork, "_CODE", "import time; time.sleep(1000)")
    write_notebook(folder / "plain.ipynb", "import json")
    name = str(folder / "plain.ipynb")
    with (
        contextlib.closing(fork.Zygote()) as slow,
        kernel(folder, slow, is_forked=False, JPY_SESSION_NAME=name) as (_, ask),
    ):
        assert ask("print(6 * 7)") == "42"


def test_when_the_program_is_killed_its_zygote_and_kernels_end(folder):
    code = f"""
import os, signal
from pathlib import Path
from workshop_utils.running import fork, kernel
fork._CODE = {QUICK!r}
zygote = fork.Zygote()
notebook = Path({str(folder / "keras.ipynb")!r})
provisioner = kernel.Kernel(notebook, zygote=zygote).manager.provisioner
assert isinstance(provisioner.process, fork.Forked)
print(zygote._process.pid, provisioner.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    eventually(lambda: all(map(is_gone, pids)))


# ---- In a run


@pytest.fixture
def keras_course(small_course):
    """Three notebooks, of which two import what is called Keras and say who started them."""
    (small_course / "keras.py").touch()  # found first; who would be asked for it matters here
    (small_course / "02_second.ipynb").unlink()
    for name in ("02_train", "03_train"):
        write_notebook(small_course / f"{name}.ipynb", "import keras, os; print(os.getppid())")
    return small_course


def test_a_run_forks_the_kernels_of_several_notebooks_where_it_can(
    keras_course, tmp_path, monkeypatch
):
    """What they make is the same: running/test_course.py compares a run with and without."""
    monkeypatch.setattr(fork, "_CODE", QUICK)
    before = set(psutil.Process().children(recursive=True))
    for is_sound in (True, False):
        monkeypatch.setattr(fork, "SOUND", is_sound)
        course.run(notebooks.select(), {}, tmp_path / "out", lambda line: None)
        parents = {printed(tmp_path / "out" / f"0{number}_train.ipynb") for number in (2, 3)}
        assert len(parents) == 1
        assert (parents == {f"{os.getpid()}\n"}) != is_sound
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_single_notebook_needs_no_zygote(keras_course, tmp_path):
    assert notebooks.imports_tensorflow(keras_course / "02_train.ipynb")
    course.run(notebooks.select(only="02"), {}, tmp_path / "out", lambda line: None)
    assert printed(tmp_path / "out" / "02_train.ipynb") == f"{os.getpid()}\n"


# ---- In a Jupyter server


def test_a_server_forks_its_kernels_as_the_course_tells_it_to(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(fork, "_CODE", QUICK)
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

    settings = paths.PROJECT / "jupyter" / "etc" / "jupyter" / "jupyter_server_config.json"
    manager = AsyncMappingKernelManager(
        config=Config(json.loads(settings.read_text())),
        connection_dir=str(tmp_path),  # or else the folder that the tests run in
    )
    env = {**os.environ, "JPY_SESSION_NAME": str(folder / "keras.ipynb")}

    async def parents():
        found = []
        for _ in range(2):
            kernel_id = await manager.start_kernel(kernel_name="python3", cwd=str(folder), env=env)
            found.append(psutil.Process(manager.get_kernel(kernel_id).provisioner.pid).ppid())
        await manager.shutdown_all(now=True)
        return found

    try:
        first, second = asyncio.run(parents())
        assert first == second != os.getpid()
    finally:
        from workshop_utils.running import server

        server._ZYGOTE.close()
