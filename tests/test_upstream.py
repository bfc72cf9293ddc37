"""Work-arounds for other people's packages: each is needed still, and each works still.

A test that fails here says that a package has changed. Where the first assertion of a test fails,
the work-around may go.
"""

import gc
import importlib
import pkgutil
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import nbformat
import numpy as np
import psutil
import pytest
from patience import HUNG

from workshop_utils import paths, upstream
from workshop_utils.device import tflite
from workshop_utils.errors import WorkshopError
from workshop_utils.running import fork


def modules_after(code):
    """What Python has imported after some code, a set of names."""
    code += "\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize("was_enabled", [True, False])
def test_many_imports_look_for_no_garbage(was_enabled):
    (gc.enable if was_enabled else gc.disable)()
    try:
        with pytest.raises(ImportError), upstream.many_imports():
            assert not gc.isenabled()
            here = []
            importlib.import_module("no_such_module")
        assert gc.isenabled() == was_enabled
        assert not any(one is here for one in gc.get_objects()), "It is looked through again."
    finally:
        gc.enable()


def test_litert_has_no_public_schema():
    import ai_edge_litert

    modules = [module.name for module in pkgutil.iter_modules(ai_edge_litert.__path__)]
    assert [name for name in modules if "schema" in name] == ["schema_py_generated"]
    assert upstream.tflite_schema().TensorType.INT8 == 9


def test_a_missing_litert_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    upstream.tflite_schema.cache_clear()
    with pytest.raises(
        WorkshopError, match=r"package ai-edge-litert, which is missing; in a terminal:\n"
    ):
        upstream.tflite_schema()


def test_the_schemas_own_code_forgets_to_align_buffers():
    import flatbuffers

    schema = upstream.tflite_schema()
    model = schema.ModelT(version=3)
    data = [bytes(range(1, size)) for size in (9, 20, 31, 42)]
    model.buffers = [schema.BufferT(data=content) for content in data]
    tensors = [schema.TensorT(type=9, buffer=number) for number in range(len(data))]
    model.subgraphs = [schema.SubGraphT(tensors=tensors)]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), tflite.MARK)
    offsets = {}
    for name, content in (
        ("its own", bytes(builder.Output())),
        ("ours", upstream.pack_tflite(model)),
    ):
        parsed = tflite.parse(content).tensors
        assert [bytes(tensor.data) for tensor in parsed] == data
        offsets[name] = {tensor.offset % 16 for tensor in parsed}
    assert offsets["its own"] != {0}
    assert offsets["ours"] == {0}


def test_the_converter_takes_a_scale_per_neuron_unless_it_is_told_by_a_private_name():
    import keras
    import tensorflow as tf

    from workshop_utils import convert

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(5), keras.layers.Dense(1)])

    def weight_scales(choose):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = convert.representative_dataset(np.linspace(-1, 1, 20))
        choose(converter)
        (weights,) = (
            tensor
            for tensor in tflite.parse(convert.run(converter)).tensors
            if tensor.shape == (5, 1) and tensor.data is not None
        )
        return len(weights.scales)

    assert weight_scales(lambda converter: None) == 5
    public = [name for name in dir(tf.lite.TFLiteConverter) if not name.startswith("_")]
    assert not [name for name in public if "channel" in name]
    assert weight_scales(lambda c: upstream.quantize_dense_layers(c, per_channel=False)) == 1
    assert weight_scales(lambda c: upstream.quantize_dense_layers(c, per_channel=True)) == 5


def test_jsonschema_imports_a_grammar_that_nobody_here_needs(tmp_path, monkeypatch):
    """Set-up leaves it out; conda's pip does not, and then it takes a second."""
    (tmp_path / "rfc3987_syntax.py").write_text("is_valid_syntax = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "rfc3987_syntax" in modules_after("import jsonschema")
    ours = modules_after("from workshop_utils import upstream; upstream.import_nbformat()")
    assert "rfc3987_syntax" not in ours and {"jsonschema", "nbformat"} <= ours


def test_a_grammar_that_is_there_already_stays():
    code = (
        "import sys, types\nfrom workshop_utils import upstream as u\n"
        "there = sys.modules['rfc3987_syntax'] = types.ModuleType('rfc3987_syntax')\n"
        "there.is_valid_syntax = None  # which is what jsonschema imports of it\n"
        "u.import_jsonschema()\nassert sys.modules['rfc3987_syntax'] is there"
    )
    assert "rfc3987_syntax" in modules_after(code)


def test_papermill_leaves_its_clients_open(tmp_path):
    papermill = pytest.importorskip("papermill")
    nbformat = upstream.import_nbformat()
    from jupyter_core.utils import run_sync

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "3", "language": "python"}
    nbformat.write(notebook, tmp_path / "a.ipynb")
    manager, clients = upstream.kernel_manager("python3")
    run_sync(manager.start_kernel)(stderr=subprocess.DEVNULL)
    try:
        papermill.execute_notebook(
            str(tmp_path / "a.ipynb"), str(tmp_path / "b.ipynb"), km=manager, progress_bar=False
        )
        assert [client.channels_running for client in clients] == [True]
    finally:
        for client in clients:
            client.stop_channels()
        run_sync(manager.shutdown_kernel)(now=True)
    assert "42" in (tmp_path / "b.ipynb").read_text()


def test_jupyter_client_waits_for_silence_where_the_kernel_says_that_it_is_idle():
    from jupyter_client.asynchronous import AsyncKernelClient
    from jupyter_core.utils import run_sync

    manager, _ = upstream.kernel_manager("python3")
    run_sync(manager.start_kernel)(stderr=subprocess.DEVNULL)

    def heard(client):
        """What the last look into the channel of states gave, before the kernel was ready."""
        last, look = [None], client.iopub_channel.get_msg

        async def remember(**options):
            last[0] = "silence"
            message = await look(**options)
            last[0] = message["content"].get("execution_state")
            return message

        client.iopub_channel.get_msg = remember
        run_sync(client.wait_for_ready)(timeout=HUNG)
        word = last[0]
        said = run_sync(client.execute_interactive)("1 / 0", timeout=HUNG)
        assert said["content"]["ename"] == "ZeroDivisionError"
        return word

    try:
        ours = manager.client()
        manager.client_factory = AsyncKernelClient
        theirs = manager.client()
        for client, word in ((ours, "idle"), (theirs, "silence")):
            client.start_channels()
            assert heard(client) == word
            client.stop_channels()
    finally:
        run_sync(manager.shutdown_kernel)(now=True)


def test_a_kernel_that_dies_early_is_no_endless_wait(tmp_path):
    from jupyter_core.utils import run_sync

    manager, _ = upstream.kernel_manager("python3")
    run_sync(manager.start_kernel)(
        stderr=subprocess.DEVNULL,
        extra_arguments=[upstream.kernel_argument_to_execute("import os; os._exit(1)")],
    )
    client = manager.client()
    client.start_channels()
    with pytest.raises(RuntimeError, match="Kernel died before"):
        run_sync(client.wait_for_ready)(timeout=HUNG)
    client.stop_channels()
    run_sync(manager.shutdown_kernel)(now=True)


def test_a_client_may_be_stopped_as_soon_as_it_is_started():
    """Its thread for heartbeats, begun after that, would end with no more sockets to open."""
    from jupyter_core.utils import run_sync

    manager, _ = upstream.kernel_manager("python3")
    run_sync(manager.start_kernel)(stderr=subprocess.DEVNULL)
    client, before = manager.client(), set(threading.enumerate())
    client.start_channels()
    assert set(threading.enumerate()) == before
    client.stop_channels()
    run_sync(manager.shutdown_kernel)(now=True)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere kernels have ports")
def test_a_kernel_whose_port_was_taken_dies_and_one_with_names_needs_none(monkeypatch):
    from jupyter_client.connect import LocalPortCache
    from jupyter_core.utils import run_sync

    def is_ready(manager):
        run_sync(manager.start_kernel)(stderr=subprocess.DEVNULL)
        client = manager.client()
        client.start_channels()
        try:
            run_sync(client.wait_for_ready)(timeout=HUNG)
        except RuntimeError as error:
            assert "Kernel died before" in str(error)
            return False
        finally:
            client.stop_channels()
            run_sync(manager.shutdown_kernel)(now=True)
        return True

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(LocalPortCache, "find_available_port", lambda self, ip: port)
        named, _ = upstream.kernel_manager("python3")
        assert is_ready(named)
        numbered, _ = upstream.kernel_manager("python3")
        numbered.transport, numbered.ip = "tcp", "127.0.0.1"
        assert not is_ready(numbered)


def test_a_kernel_executes_code_before_anybody_asks(tmp_path):
    from jupyter_client.manager import KernelManager

    trace = tmp_path / "trace"
    code = f"import pathlib; left = 'a name'; pathlib.Path({str(trace)!r}).write_text('done')"
    manager = KernelManager(kernel_name="python3")
    upstream.name_sockets(manager)
    manager.start_kernel(
        extra_arguments=[upstream.kernel_argument_to_execute(code)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = manager.blocking_client()
    try:
        deadline = time.monotonic() + HUNG
        while not trace.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert trace.exists()
        client.start_channels()
        client.wait_for_ready(timeout=HUNG)
        printed = []
        client.execute_interactive(
            "print('left' in globals(), 'pathlib' in globals())",
            timeout=HUNG,
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
        )
        assert "".join(printed).split() == ["False", "False"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_tqdm_takes_a_lock_of_the_system():
    code = (
        "from tqdm import tqdm\n"
        "from workshop_utils import upstream\n"
        "tqdm(range(1), disable=False, file=open('/dev/null', 'w')).close()\n"
        "print(type(tqdm.get_lock()).__module__)\n"
        "upstream.lock_tqdm_for_threads()\n"
        "print(type(tqdm.get_lock()).__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tqdm.std", "_thread"]


def test_dask_complains_of_a_cluster_that_was_interrupted_while_it_started(tmp_path):
    """And with the work-around it does not, and its worker ends all the same."""
    code = """
import os, signal, sys, threading, time
import psutil
from distributed import LocalCluster
from workshop_utils import upstream

def interrupt():
    while not [child for child in me.children() if "spawn_main" in " ".join(child.cmdline())]:
        time.sleep(0.01)
    os.kill(me.pid, signal.SIGINT)

if __name__ == "__main__":
    me = psutil.Process()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.argv[1:]:
        upstream.close_no_cluster_at_exit()
    threading.Thread(target=interrupt).start()
    try:
        LocalCluster(n_workers=1, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL")
    except KeyboardInterrupt:
        print("stopped", *[child.pid for child in me.children()])
"""
    (tmp_path / "start.py").write_text(code)

    def said(*words):
        command = [sys.executable, "start.py", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        stopped, *children = done.stdout.split()
        assert stopped == "stopped" and children and done.returncode == 0
        deadline = time.monotonic() + HUNG
        while any(psutil.pid_exists(int(pid)) for pid in children):
            assert time.monotonic() < deadline, "Its processes are still there."
            time.sleep(0.1)
        return done.stderr

    # Where in its start the interrupt meets it differs from time to time.
    assert any("close_clusters" in said() for _ in range(20))
    for _ in range(3):
        assert "Traceback" not in said("mended")


NBVAL = """
import os
import sys
import pytest
from workshop_utils import upstream
from workshop_utils.running import fork
fork._CODE = fork._CODE.replace("fork.serve", "fork._IMPORTS = fork._IMPORTS[:2]; fork.serve")
upstream.import_jsonschema()
for folder in sys.argv[1:]:
    pytest.main(["-q", "--nbval", "-p", "no:cacheprovider", f"--rootdir={folder}", folder])
    print("end in process", os.getpid())
"""


def test_nbval_takes_a_cell_without_a_count_for_one_that_never_ran_and_forks_no_kernel(tmp_path):
    """And with the work-arounds it still compares."""
    output = nbformat.v4.new_output("stream", text="2\n")
    parent = "import keras\nimport os\nraise Exception(f'child of {os.getppid()}')"
    folders = [tmp_path / "bare", tmp_path / "mended"]
    for folder in folders:
        folder.mkdir()
        (folder / "keras.py").touch()  # found first, and quick to import
        for name, source in (("right", "print(1 + 1)"), ("wrong", "print(1 + 2)")):
            cells = [nbformat.v4.new_code_cell(source, outputs=[output])]
            cells.append(nbformat.v4.new_code_cell(parent))
            kernel = {"name": "python3", "display_name": "Python 3"}
            notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
            nbformat.write(notebook, folder / f"{name}.ipynb")
    shutil.copy(paths.PROJECT / "conftest.py", folders[1])

    done = subprocess.run(
        [sys.executable, "-c", NBVAL, *map(str, folders)], capture_output=True, text=True
    )
    bare, own, mended, _, _ = re.split(r"end in process (\d+)", done.stdout)
    assert "4 failed" in bare and "Unrun reference cell has outputs" in bare
    assert "3 failed, 1 passed" in mended and "mismatch" in mended
    parents = [set(re.findall(r"child of (\d+)", text)) for text in (bare, mended)]
    assert parents[0] == {own} and len(parents[1]) == 1
    assert (parents[1] == {own}) == (not fork.SOUND)
