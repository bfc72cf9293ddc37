"""Jupyter kernels that start before they are needed."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from workshop_utils import paths, quiet, upstream
from workshop_utils.doctor import KERNEL
from workshop_utils.errors import WorkshopError, with_command
from workshop_utils.paths import Home
from workshop_utils.running import notebooks
from workshop_utils.running.fork import Provisioner, Zygote

_IMPORT = """\
from workshop_utils.upstream import many_imports
with many_imports():
    exec({!r}, {{}})
"""


class Kernel:
    """A Jupyter kernel for a notebook: started, and busy importing what the notebook imports.

    home: what WORKSHOP_HOME is to it; None takes ours. zygote: what forks it, see `fork`; a
    notebook that imports TensorFlow waits until it can.
    It is the course's own one, whatever kernel the notebook was saved with elsewhere. Nobody waits
    for it here. Raises WorkshopError if Jupyter does not know it.
    """

    def __init__(
        self, notebook: Path, home: Home | None = None, zygote: Zygote | None = None
    ) -> None:
        from jupyter_client.kernelspec import NoSuchKernel

        self.notebook = notebook
        self.was_killed = False
        self.manager, self.clients = upstream.kernel_manager(KERNEL)
        arguments = [
            "--IPKernelApp.log_level=40",  # errors only
            # Without leaving names, so that a notebook that forgets an import still fails.
            upstream.kernel_argument_to_execute(_IMPORT.format(notebooks.imports(notebook))),
        ]
        quiet.tensorflow()  # by way of the environment, which the kernel inherits
        try:
            if zygote:
                upstream.provide(self.manager, Provisioner, zygote=zygote)
            self._call(
                "start_kernel",
                cwd=str(notebook.parent),
                extra_arguments=arguments,
                env={
                    **os.environ,
                    "WORKSHOP_HOME": str((home or paths.home()).path),
                    "JPY_SESSION_NAME": str(notebook),  # as Jupyter's server does
                },
                stderr=subprocess.DEVNULL,  # a kernel that is ended complains; cells do not use it
            )
        except NoSuchKernel as error:
            text = f"{notebook.name}: Jupyter knows no kernel {error.name!r}; in a terminal:"
            raise WorkshopError(with_command(text, "./install.sh")) from error

    def stop(self) -> None:
        """End the kernel at once; what a notebook leaves behind is in files."""
        for client in self.clients:
            client.stop_channels()
        self._call("shutdown_kernel", now=True)

    def kill(self) -> None:
        """End the kernel's process and nothing else, from any thread; `stop` is still to come."""
        self.was_killed = True
        with suppress(AttributeError, ValueError):  # it has ended already
            self.manager.provisioner.process.kill()

    def is_alive(self) -> bool:
        """Whether the kernel's process runs."""
        return bool(self._call("is_alive"))

    def _call(self, method: str, **arguments: Any) -> Any:
        from jupyter_core.utils import run_sync

        return run_sync(getattr(self.manager, method))(**arguments)
