"""What a Jupyter server is told to start kernels with: jupyter/etc/jupyter names this module.

The server may be one without the course's packages, such as that of the hub.
"""

import atexit
from typing import Any

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from workshop_utils import upstream
from workshop_utils.running import fork

_ZYGOTE = fork.Zygote()
atexit.register(_ZYGOTE.close)


class KernelManager(ServerKernelManager):
    """As Jupyter's own one, but kernels are forked from one process that has TensorFlow."""

    async def start_kernel(self, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
        """What the server calls."""
        upstream.provide(self, fork.Provisioner, zygote=_ZYGOTE)
        return await super().start_kernel(*arguments, **options)
