"""A NameError after the kernel has restarted: in kernels that load the project's own settings."""

import json
import os
import queue
import subprocess
import sys
from types import SimpleNamespace

import pytest
from jupyter_client.manager import KernelManager
from patience import HUNG

from workshop_utils import missing_names, paths, upstream

CELLS = {
    "imports": "import math as m\n%precision 3\na = 1\nfrom json import dumps",
    "names": "x = [y for y in range(3)]\ndef half(): return z\nfor n in x: z = n",
    "last": "late = x",
}  # fmt: skip
HELP = " is not there: an earlier cell makes it"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    path = tmp_path_factory.mktemp("notebook") / "05_a.ipynb"
    cells = [{"cell_type": "markdown", "id": "text", "source": ["other = 1"]}]
    for name, source in CELLS.items():
        lines = source.splitlines(keepends=True)
        cells.append({"cell_type": "code", "id": name, "source": lines})
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def kernel(notebook, tmp_path_factory):
    """A fresh kernel, as Jupyter's server starts it. It has what jupyter/ holds for IPython."""
    settings = paths.PROJECT / "jupyter" / "etc" / "ipython" / "ipython_kernel_config.json"
    manager = KernelManager(kernel_name="python3")
    upstream.name_sockets(manager)
    environment = {
        **os.environ,
        "JPY_SESSION_NAME": f"{notebook}-0d0f3f",
        "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython")),
    }
    manager.start_kernel(env=environment, extra_arguments=[f"--config={settings}"])
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=HUNG)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def failure(kernel, code, cell):
    """Run code as JupyterLab runs a cell; returns the texts of the error that comes of it."""
    # After an error a kernel leaves out what it is asked in the next moment, unless told not to.
    content = {"code": code, "silent": False, "stop_on_error": False}
    message = kernel.session.msg("execute_request", content, metadata={"cellId": cell})
    kernel.shell_channel.send(message)
    while (reply := kernel.get_shell_msg(timeout=HUNG))["parent_header"] != message["header"]:
        pass
    assert reply["content"]["status"] == "error", "A run of all cells would go on."
    while True:
        try:
            said = kernel.get_iopub_msg(timeout=HUNG)
        except queue.Empty:
            raise AssertionError("The kernel shows no error.") from None
        if said["msg_type"] == "error" and said["parent_header"] == message["header"]:
            return said["content"]["traceback"]


@pytest.mark.parametrize("name", ["m", "dumps", "a", "x", "half", "n", "z"])
def test_a_name_of_an_earlier_cell_is_one_sentence(kernel, name):
    (line,) = failure(kernel, f"print({name})", "last")
    assert line.endswith(
        f"{name}{HELP}, and has not run since the kernel started. Choose Run → Run All Above "
        "Selected Cell, then run this cell again."
    )


@pytest.mark.parametrize(
    ("name", "cell"), [("late", "names"), ("x", "imports"), ("y", "last"), ("typo", "last"),
                       ("other", "last"), ("x + typo", "imports")],
)  # fmt: skip
def test_any_other_name_is_shown_as_ever(kernel, name, cell):
    text = "\n".join(failure(kernel, name, cell))
    assert HELP not in text and "NameError" in text and "is not defined" in text


def test_in_a_cell_that_is_not_saved_all_others_count(kernel):
    assert HELP in failure(kernel, "late", "new")[0]


def test_a_function_of_the_notebook_and_one_of_a_module(kernel):
    assert HELP in failure(kernel, "def f(): return x\nf()", "last")[0]
    module = "import types; t = types.ModuleType('t')\nexec('def f(): return x', t.__dict__)\nt.f()"
    assert HELP not in "\n".join(failure(kernel, module, "last"))


def test_an_unbound_variable_is_no_missing_name(kernel):
    text = "\n".join(failure(kernel, "def f():\n    print(x)\n    x = 1\nf()", "last"))
    assert HELP not in text and "UnboundLocalError" in text


@pytest.mark.parametrize("content", ["", "[]", '{"cells": [{}]}', '{"cells": 3}'])
def test_a_notebook_that_cannot_be_read_helps_nobody(monkeypatch, tmp_path, content):
    path = tmp_path / "a.ipynb"
    path.write_text(content)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert missing_names._cells_above(SimpleNamespace(user_ns={})) == []


def test_vs_code_names_the_notebook_in_a_variable(monkeypatch, notebook):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert missing_names._notebook(SimpleNamespace(user_ns={})) is None
    shell = SimpleNamespace(user_ns={"__vsc_ipynb_file__": str(notebook)})
    assert missing_names._notebook(shell) == notebook


def test_it_loads_nothing_that_takes_time():
    light = {"workshop_utils", "workshop_utils.errors", "workshop_utils.missing_names"}
    code = "import sys, workshop_utils.missing_names; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {name for name in loaded if name.startswith("workshop_utils")} == light
    assert "numpy" not in loaded
