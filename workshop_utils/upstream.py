"""What the course works around in other people's packages, each with the version it is for.

These are places that a package's documentation does not promise, and so they may change with any
release. tests/test_upstream.py has a test for each: it fails when the work-around is no longer
needed, or no longer works. Nothing is imported here before it is asked for.
"""

import sys
from types import ModuleType


def import_jsonschema() -> ModuleType:
    """Import jsonschema without the grammar of rfc3987_syntax: jsonschema 4.26.0.

    It imports that package for one format, addresses with letters of all the world, and the grammar
    takes two seconds to compile. None of the course's schemas, and none of nbformat's, has the
    format. papermill, nbconvert and nbformat import jsonschema: ask here before they do.
    """
    unwanted = "rfc3987_syntax"
    if "jsonschema" not in sys.modules and unwanted not in sys.modules:
        # For the time being an import of it fails, which jsonschema expects.
        sys.modules[unwanted] = None  # type: ignore[assignment]
        try:
            import jsonschema
        finally:
            del sys.modules[unwanted]
    import jsonschema

    return jsonschema


def import_nbformat() -> ModuleType:
    """Import nbformat, as papermill and nbconvert are about to, in a tenth of the time."""
    import_jsonschema()
    import nbformat

    return nbformat
