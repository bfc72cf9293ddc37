"""For every run of pytest here, above all for "pytest --nbval-lax notebooks"."""

from workshop_utils import upstream


def pytest_collection_modifyitems(items):
    """Stored notebooks have no counts of execution, and nbval looks for them."""
    upstream.count_cells_for_nbval(items)
