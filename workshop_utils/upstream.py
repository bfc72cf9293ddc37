"""What the course works around in other people's packages, each with the version it is for.

These are places that a package's documentation does not promise, and so they may change with any
release. tests/test_upstream.py has a test for each: it fails when the work-around is no longer
needed, or no longer works. Nothing is imported here before it is asked for.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from workshop_utils.errors import missing_package


@functools.cache
def tflite_schema() -> ModuleType:
    """The classes that flatc made of TensorFlow Lite's schema: ai_edge_litert 2.3.0.

    The package keeps them for its own tools. They trust what they read: see device.tflite.
    Raises WorkshopError if the package is missing.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise missing_package("Reading a model", "ai-edge-litert") from error
    schema: ModuleType = schema_py_generated
    return schema


def pack_tflite(model: Any) -> bytes:
    """The flatbuffer of a ModelT of the schema, with its buffers aligned: ai_edge_litert 2.3.0.

    The classes' own Pack() forgets that the schema aligns buffers to 16 bytes, so that weights and
    biases could lie at places from which a runtime cannot read them.
    """
    import flatbuffers

    schema = tflite_schema()

    class Buffer(schema.BufferT):  # type: ignore[misc, name-defined]
        def Pack(self, builder: Any) -> Any:
            data = None
            if self.data is not None:
                builder.StartVector(1, len(self.data), 16)
                builder.head -= len(self.data)
                builder.Bytes[builder.head : builder.head + len(self.data)] = bytes(self.data)
                data = builder.EndVector()
            schema.BufferStart(builder)
            if data is not None:
                schema.BufferAddData(builder, data)
            schema.BufferAddOffset(builder, self.offset)
            schema.BufferAddSize(builder, self.size)
            return schema.BufferEnd(builder)

    given = model.buffers
    model.buffers = [Buffer(one.data, one.offset, one.size) for one in given or []]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    model.buffers = given
    return bytes(builder.Output())


def quantize_dense_layers(converter: Any, per_channel: bool) -> None:
    """Choose how a tf.lite.TFLiteConverter quantizes Dense layers: tensorflow 2.21.0.

    per_channel: one weight scale per neuron instead of one per layer. There is no public option.
    """
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel


def import_jsonschema() -> ModuleType:
    """Import jsonschema without the grammar of rfc3987_syntax: jsonschema 4.26.0.

    It imports that package for one format, addresses with letters of all the world, and the grammar
    takes two seconds to compile. None of the course's schemas, and none of nbformat's, has the
    format. papermill, nbconvert and nbformat import jsonschema: ask here before they do. Set-up
    leaves the package out, but conda's pip does not.
    """
    unwanted = "rfc3987_syntax"
    if "jsonschema" not in sys.modules and unwanted not in sys.modules:
        # For the time being an import of it fails, which jsonschema expects.
        sys.modules[unwanted] = None  # type: ignore[assignment]
        try:
            importlib.import_module("jsonschema")
        finally:
            del sys.modules[unwanted]
    return importlib.import_module("jsonschema")


def import_nbformat() -> ModuleType:
    """Import nbformat, as papermill and nbconvert are about to, in a tenth of the time."""
    import_jsonschema()
    return importlib.import_module("nbformat")


@contextlib.contextmanager
def many_imports() -> Iterator[None]:
    """Look for no garbage while a block imports, nor later in what it made: tensorflow 2.21.0.

    Its import makes so many objects, which stay, that a fifth of it is Python's search for some
    that do not. Each such search takes 0.2 s afterwards, and Keras asks for one per run of a sweep.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def kernel_manager(name: str) -> tuple[Any, list[Any]]:
    """A kernel manager for papermill, and a list of the clients it has given: papermill 2.7.0.

    papermill leaves its clients open if the kernel is not its own: whoever ends the kernel stops
    the channels of those in the list. The manager is asynchronous: with a synchronous one papermill
    would never notice that the kernel died.
    jupyter_client 8.10.0 takes a kernel for ready once it has been silent for a fifth of a second;
    these clients wait until it says that it is idle. They listen to no heartbeat: the manager knows
    whether its process runs, and if a client is stopped before the thread that listens has begun,
    that thread opens sockets until there are no more.
    """
    import math
    import queue
    import time

    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_client.manager import AsyncKernelManager

    class Client(AsyncKernelClient):
        """Knows from the kernel's own word that it is ready."""

        def start_channels(self, *arguments: Any, **options: Any) -> None:
            super().start_channels(*arguments, **(options | {"hb": False}))

        async def wait_for_ready(self, timeout: float | None = None) -> None:
            end = time.monotonic() + (timeout or math.inf)
            while time.monotonic() < end:
                asked = self.kernel_info()
                with contextlib.suppress(queue.Empty):
                    reply = await _answer(self.get_shell_msg, asked, 1, "kernel_info_reply")
                    await _answer(self.get_iopub_msg, asked, 0.2, "status", "idle")
                    self._handle_kernel_info_reply(reply)
                    return
                if not await self._async_is_alive():
                    raise RuntimeError("Kernel died before replying to kernel_info")
            raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")

    clients = []

    class Manager(AsyncKernelManager):
        """Remembers its clients."""

        def client(self, **options: Any) -> Any:
            clients.append(super().client(**options))
            return clients[-1]

    manager = Manager(kernel_name=name, client_factory=Client)
    name_sockets(manager)
    return manager, clients


def name_sockets(manager: Any) -> None:
    """Have a kernel manager that starts its first kernel give it names in place of ports, on Linux.

    jupyter_client 8.10.0 chooses free ports and lets them go again, until the kernel takes them: it
    dies if another program was quicker. Linux has names for sockets that need no file.
    """
    import uuid

    if sys.platform == "linux":
        manager.transport, manager.ip = "ipc", f"@{uuid.uuid4()}"


async def _answer(ask: Callable[..., Any], to: str, timeout: float, *wanted: str | None) -> Any:
    """The message of a channel that answers the request `to`: its type, and its state if wanted.

    Raises queue.Empty if there is no message for `timeout` seconds.
    """
    while True:
        message = await ask(timeout=timeout)
        found = message["msg_type"], message["content"].get("execution_state")
        if message["parent_header"].get("msg_id") == to and found[: len(wanted)] == wanted:
            return message


def provide(manager: Any, provisioner: Callable[..., Any], **options: Any) -> None:
    """Have a kernel manager start its kernel with a provisioner of this class: jupyter_client 8.10.

    options: what the class takes besides what every provisioner takes. By rights a kernel's
    description names its provisioner, and the environment of the program that starts the kernel
    has an entry point of that name; the environment of the hub has nothing of the course.
    """
    if manager.provisioner is None:
        manager.provisioner = provisioner(
            kernel_id=manager.kernel_id, kernel_spec=manager.kernel_spec, parent=manager, **options
        )


def provide_to_nbval(provisioner: Callable[..., Any], **options: Any) -> None:
    """Have nbval start its kernels with a provisioner, as `provide` does: nbval 0.11.0.

    It makes its kernel managers itself, lets each write to a file of its own that nobody reads, and
    hands down pytest's name of the test, so that no two kernels would start alike.
    """
    import os
    import subprocess

    kernel: Any = importlib.import_module("nbval.kernel")

    class Manager(kernel.KernelManager):  # type: ignore[misc]
        """Starts kernels that differ in their notebook alone."""

        def start_kernel(self, *, stderr: Any, **given: Any) -> Any:
            stderr.close()
            provide(self, provisioner, **options)
            name_sockets(self)
            env = {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}
            return super().start_kernel(**given, env=env, stderr=subprocess.DEVNULL)

    kernel.KernelManager = Manager


def kernel_argument_to_execute(code: str) -> str:
    """The argument of a kernel that makes it execute code before anybody asks: ipykernel 7.4.0.

    The code runs in a namespace of its own, so that it leaves no names behind. IPython means the
    option for configuration files; a client that sent the code would have to wait for the kernel.
    """
    return f"--IPKernelApp.exec_lines=exec({code!r}, {{}})"


def lock_tqdm_for_threads() -> None:
    """Give tqdm a lock for the threads of this process alone: tqdm 4.70.1.

    Its own one is for other processes, too, and thus the system's: Python complains of it when a
    worker is killed.
    """
    import threading

    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())


def close_no_cluster_at_exit() -> None:
    """Leave out what Dask does when Python ends: distributed 2026.8.0.

    It closes each cluster that is open, and shows a traceback if that was still starting.
    """
    from distributed.deploy.spec import close_clusters

    atexit.unregister(close_clusters)


def count_cells_for_nbval(items: list[Any]) -> None:
    """Make nbval compare cells that have outputs but no count of execution: nbval 0.11.0.

    It takes them for cells that were never run, and fails them. items: what pytest collected.
    """
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None and cell.get("outputs") and cell.execution_count is None:
            cell.execution_count = 0
