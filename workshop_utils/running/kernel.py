"""Jupyter kernels that start before they are needed."""

import ast
import json
import os
import subprocess
import sys

from workshop_utils import quiet
from workshop_utils.errors import WorkshopError


class Kernel:
    """A Jupyter kernel for a notebook: started, and busy importing what the notebook imports.

    Nobody waits for it here. Raises WorkshopError if Jupyter does not know the kernel.
    """

    def __init__(self, notebook):
        from jupyter_client import AsyncKernelManager
        from jupyter_client.kernelspec import NoSuchKernel

        self.notebook = notebook
        content = json.loads(notebook.read_text(encoding="utf-8"))
        self.clients = []

        class Manager(AsyncKernelManager):
            """Remembers its clients: papermill leaves them open if the kernel is not its own."""

            def client(manager, **options):
                self.clients.append(super().client(**options))
                return self.clients[-1]

        # papermill would never notice the death of a kernel that has a synchronous manager.
        self.manager = Manager(kernel_name=content["metadata"]["kernelspec"]["name"])
        arguments = [
            "--IPKernelApp.log_level=40",  # errors only
            # In a namespace of its own, so that a notebook that forgets an import still fails.
            f"--IPKernelApp.exec_lines=exec({_imports(content)!r}, {{}})",
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


def import_nbformat():
    """Import nbformat, as papermill and nbconvert are about to, in a tenth of the time.

    By way of jsonschema it imports rfc3987_syntax, which compiles a grammar for addresses with
    letters of all the world, two seconds long. No schema of a notebook has a format that needs it.
    """
    unwanted = "rfc3987_syntax"
    if "jsonschema" not in sys.modules and unwanted not in sys.modules:
        sys.modules[unwanted] = None  # for the time being, an import of it fails, which is expected
        try:
            import jsonschema  # noqa: F401
        finally:
            del sys.modules[unwanted]
    import nbformat

    return nbformat
