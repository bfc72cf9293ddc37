"""Jupyter kernels that start before they are needed."""

import ast
import json
import os
import subprocess

from workshop_utils import quiet, upstream
from workshop_utils.errors import WorkshopError


class Kernel:
    """A Jupyter kernel for a notebook: started, and busy importing what the notebook imports.

    Nobody waits for it here. Raises WorkshopError if Jupyter does not know the kernel.
    """

    def __init__(self, notebook):
        from jupyter_client.kernelspec import NoSuchKernel

        self.notebook = notebook
        content = json.loads(notebook.read_text(encoding="utf-8"))
        name = content["metadata"]["kernelspec"]["name"]
        self.manager, self.clients = upstream.kernel_manager(name)
        arguments = [
            "--IPKernelApp.log_level=40",  # errors only
            # Without leaving names, so that a notebook that forgets an import still fails.
            upstream.kernel_argument_to_execute(_imports(content)),
        ]
        quiet.tensorflow()  # by way of the environment, which the kernel inherits
        try:
            self._call(
                "start_kernel",
                cwd=str(notebook.parent),
                extra_arguments=arguments,
                env={**os.environ, "JPY_SESSION_NAME": str(notebook)},  # as Jupyter's server does
                stderr=subprocess.DEVNULL,  # a kernel that is ended complains; cells do not use it
            )
        except NoSuchKernel as error:
            raise WorkshopError(
                f"{notebook.name}: Jupyter knows no kernel {error.name!r}; run ./install.sh again."
            ) from error

    def stop(self):
        """End the kernel at once; what a notebook leaves behind is in files."""
        for client in self.clients:
            client.stop_channels()
        self._call("shutdown_kernel", now=True)

    def is_alive(self):
        """Whether the kernel's process runs."""
        return self._call("is_alive")

    def _call(self, method, **arguments):
        from jupyter_core.utils import run_sync

        return run_sync(getattr(self.manager, method))(**arguments)


def _imports(content):
    """The import statements in a notebook's cells, a line each."""
    lines = []
    for cell in content["cells"]:
        try:
            nodes = ast.parse("".join(cell["source"])).body if cell["cell_type"] == "code" else []
        except SyntaxError:  # a magic command, or a mistake that the run is going to show
            continue
        lines += [
            ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)
        ]
    return "\n".join(lines)
