"""For every run of pytest here, above all for "pytest --nbval-lax notebooks"."""

import os

from workshop_utils import upstream


def pytest_collection_modifyitems(config, items):
    """Stored notebooks have no counts of execution, and nbval looks for them.

    Where several notebooks import TensorFlow, their kernels are forked, as in a run of the course.
    """
    upstream.count_cells_for_nbval(items)
    files = {item.path for item in items if hasattr(item, "cell")}
    if len(files) > 1:
        from workshop_utils.running import fork, notebooks

        if sum(map(notebooks.imports_tensorflow, files)) > 1:
            zygote = fork.Zygote()
            config.add_cleanup(zygote.close)
            upstream.provide_to_nbval(fork.Provisioner, zygote=zygote)


def pytest_runtest_setup(item):
    """A kernel is told for which notebook it is, as by Jupyter's server."""
    if hasattr(item, "cell"):
        os.environ["JPY_SESSION_NAME"] = str(item.path)
