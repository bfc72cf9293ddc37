"""One import of TensorFlow for many kernels: they are forked from a process that has imported it.

A Zygote is that process. It imports what the course's notebooks import, which takes seconds and
300 MB, and waits. A kernel that it forks is a process of its own, answers within half a second,
and shares with the others the memory that none of them has written to.

`workshop run` has a Zygote per run, and a Jupyter server has one (workshop_utils.running.server).
A kernel starts as ever where forking is not sound, while the Zygote still imports what the notebook
does not, and when it is to differ from the Zygote in more than its arguments, its folder and the
variables in `_OWN`.
"""

import array
import asyncio
import builtins
import contextlib
import ctypes
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
import types
import warnings
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.launcher import launch_kernel
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from workshop_utils.errors import WorkshopError
from workshop_utils.running import notebooks
from workshop_utils.upstream import many_imports

# Windows cannot fork, and macOS's own libraries do not survive it.
SOUND = sys.platform == "linux" and hasattr(os, "pidfd_open")
_IMPORTS = ("ipykernel.kernelapp", "pandas", "matplotlib.pyplot", "tensorflow", "keras")
# What the notebooks set before they import TensorFlow (`quiet.tensorflow`), and ipykernel before
# Matplotlib is imported: these are read at the import.
_ENVIRONMENT = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
_OWN = ("JPY_SESSION_NAME", "WORKSHOP_HOME")  # variables of a kernel that no import reads
_LAUNCHER = ["-m", "ipykernel_launcher"]
_CODE = (
    "import sys; sys.path = [entry for entry in sys.path if entry]; "
    "from workshop_utils.running import fork; fork.serve(int(sys.argv[1]))"
)
_PATIENCE = 300  # seconds, for an import that takes 5 and a fork that takes 0.01
_MOST_BYTES = 1 << 20
_READY, _REFUSED = b"ready", b"refused"
_PR_SET_PDEATHSIG = 1


class Zygote:
    """A process that has imported TensorFlow and forks kernels. It starts with the first kernel.

    It ends with `close`, or with this process, and all its kernels end with it.
    """

    def __init__(self) -> None:
        self._process: Any = None
        self._channel: socket.socket | None = None
        self._key: Any = None
        self.is_ready = False  # It has imported all.
        self._lock = threading.Lock()  # an answer belongs to the request before it

    def fork(self, cmd: list[str], **options: Any) -> "Forked | None":
        """A kernel of this process, or None where it had better start as ever.

        cmd: the kernel's command line. options: of `Popen`. For a notebook that imports TensorFlow
        it waits until it can, since the kernel itself would take as long.
        """
        if not SOUND or cmd[1:3] != _LAUNCHER:
            return None
        cwd = options.pop("cwd", None) or os.getcwd()  # noqa: PTH109
        env = options.pop("env")
        common = {name: value for name, value in env.items() if name not in _OWN}
        key = cmd[0], common, options
        with contextlib.suppress(OSError):
            with self._lock:
                if self._process is None or self._process.poll() is not None:
                    self.close()
                    self._start(cmd[0], cwd, common, options)
                    self._key = key
            needs_it = _needs_tensorflow(cwd, env.get("JPY_SESSION_NAME", ""))
            if key != self._key or not self._await_ready(_PATIENCE if needs_it else 0):
                return None
            return self._fork({"argv": cmd[3:], "cwd": cwd, "env": env}, key)
        self.close()
        return None

    def _start(self, python: str, cwd: str, env: dict[str, str], options: dict[str, Any]) -> None:
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_PATIENCE)
        with other:
            self._process = launch_kernel(
                [python, "-c", _CODE, str(other.fileno())],
                env={**_ENVIRONMENT, **env},
                cwd=cwd,
                pass_fds=[other.fileno()],
                **options,
            )

    def _await_ready(self, seconds: float) -> bool:
        """Whether it has imported all; waits for that at most so long, but keeps nobody else."""
        end = time.monotonic() + seconds
        while not self.is_ready:
            with self._lock:
                if self._channel and not self.is_ready and _readable(self._channel, 0):
                    self.is_ready = self._channel.recv(len(_READY)) == _READY
                    if not self.is_ready:  # it has ended
                        self.close()
            if self._channel is None or time.monotonic() > end:
                break
            time.sleep(0.01)
        return self.is_ready

    def _fork(self, request: dict[str, Any], key: Any) -> "Forked | None":
        request["env"] = {**request["env"], "JPY_PARENT_PID": str(os.getpid())}
        with self._lock:
            if not self._channel or key != self._key:  # there is another one by now
                return None
            self._channel.send(json.dumps(request).encode())
            answer, descriptors, _, _ = socket.recv_fds(self._channel, 64, 1)
        return Forked(int(answer), descriptors[0]) if descriptors else None

    def kill(self) -> None:
        """End its process, and with it its kernels, from any thread; `close` is still to come."""
        if process := self._process:
            process.kill()

    def close(self) -> None:
        """End it at once, and its kernels."""
        self.kill()
        if self._process:
            self._process.wait()
        if self._channel:
            self._channel.close()
        self._process = self._channel = None
        self.is_ready = False


class Forked:
    """A kernel that another process has forked, with what jupyter_client asks a Popen."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        # A file descriptor of the process: it becomes readable when the process ends.
        self._end = os.fdopen(descriptor)

    def poll(self) -> int | None:
        """None while it runs. With what code it ended its parent alone would know."""
        return 0 if self._end.closed or _readable(self._end, 0) else None

    def wait(self) -> int | None:
        """What `poll` says; called when it has ended."""
        code = self.poll()
        if code is not None:
            self._end.close()
        return code

    def send_signal(self, number: int) -> None:
        """To it alone, even if its number is that of another by now; no matter if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._end.fileno(), number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class Provisioner(LocalProvisioner):
    """How jupyter_client starts a kernel: forked from `zygote` if that can be, or else as ever."""

    def __init__(self, *, zygote: Zygote, **options: Any) -> None:
        super().__init__(**options)
        self.zygote = zygote

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """What jupyter_client calls."""
        # In a thread, since a server has others to answer while the Zygote imports.
        forked = await asyncio.to_thread(self.zygote.fork, cmd, **self._scrub_kwargs(kwargs))
        if not forked:
            return await super().launch_kernel(cmd, **kwargs)
        self.process = forked  # type: ignore[assignment]
        self.pid = self.pgid = forked.pid
        self.cwd = kwargs.get("cwd")
        return self.connection_info

    async def kill(self, restart: bool = False) -> None:
        """What jupyter_client calls to end a kernel at once, and then looks ten times a second."""
        await super().kill(restart)
        for _ in range(20):
            if await self.poll() is not None:
                break
            await asyncio.sleep(0.005)


def _needs_tensorflow(folder: str, session: str) -> bool:
    """Whether the kernel is for a notebook that imports it. Jupyter calls sessions after files."""
    with contextlib.suppress(WorkshopError):
        return notebooks.imports_tensorflow(Path(folder, Path(session).name))
    return False


def _readable(file: Any, seconds: float) -> bool:
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


# ---- In the Zygote


class _Stream:
    """What an import gets as sys.stdout or sys.stderr and keeps: the one of the moment."""

    def __init__(self, name: str) -> None:
        self._name, self._first = name, getattr(sys, name)

    def __getattr__(self, attribute: str) -> Any:
        stream = getattr(sys, self._name)
        return getattr(self._first if stream is self else stream, attribute)

    def close(self) -> None:
        """Not this one: absl's handler closes what it does not know as a stream of the system."""


def serve(descriptor: int) -> None:
    """Import all and fork a kernel per request from the socket, until its other end is closed."""
    streams, environment = (sys.stdout, sys.stderr), dict(os.environ)
    sys.stdout, sys.stderr = _Stream("stdout"), _Stream("stderr")
    sys.ps1 = "In : "  # as in a kernel, where TensorFlow's logger therefore writes to stdout
    # and pandas takes it that there is a page to show tables on, and no terminal
    vars(builtins)["get_ipython"] = lambda: types.SimpleNamespace(kernel=None)
    with many_imports():  # nor does a kernel's garbage collection write to what is shared, then
        for name in _IMPORTS:
            importlib.import_module(name)
    del vars(builtins)["get_ipython"]
    sys.stdout, sys.stderr = streams
    # TensorFlow leaves some variables for its own.
    added = {name: value for name, value in os.environ.items() if name not in environment}
    for name in [name for name in sys.modules if name.partition(".")[0] == "workshop_utils"]:
        del sys.modules[name]  # which may change, and reads WORKSHOP_HOME
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a kernel here
    zygote = os.getpid()
    with socket.socket(fileno=descriptor) as channel:
        channel.send(_READY)
        while request := channel.recv(_MOST_BYTES):
            with warnings.catch_warnings():
                # Python 3.12 warns of threads: there is OpenBLAS's, and it knows of forks.
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    pid = os.fork()
                except OSError:
                    channel.send(_REFUSED)
                    continue
            if pid == 0:
                try:
                    arguments = _become_a_kernel(json.loads(request), added, channel, zygote)
                except Exception:
                    channel.send(_REFUSED)
                    raise
                break
        else:
            os._exit(0)
    sys.argv[1:] = arguments
    runpy.run_module(_LAUNCHER[1], run_name="__main__", alter_sys=True)


def _become_a_kernel(
    request: dict[str, Any], added: dict[str, str], channel: socket.socket, zygote: int
) -> list[str]:
    """Make this process what it would be if it had just been started. Returns its arguments."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != zygote:
        os._exit(1)
    os.environ.clear()
    os.environ.update({**request["env"], **added})
    os.chdir(request["cwd"])
    sys.path.insert(0, request["cwd"])  # as python -m does; the launcher takes it away again
    # Python's own generator seeds itself anew after a fork.
    sys.modules["numpy"].random.seed()
    descriptor = os.pidfd_open(os.getpid())
    rights = array.array("i", [descriptor])
    channel.sendmsg([b"%d" % os.getpid()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(descriptor)
    return request["argv"]
