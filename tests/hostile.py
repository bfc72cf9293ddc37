"""Readers of files that mean harm, each called in a process of its own that is measured."""

import json
import subprocess
import sys

from patience import HUNG

CALL = """
import json, resource, sys
from workshop_utils.errors import WorkshopError
{setup}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    {call}
    said = None
except WorkshopError as error:
    said = str(error)
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([said, used * 1024 / 1e6]))
"""


def refused(setup, call, *arguments):
    """The sentence with which `call` refuses a file, and the MB of memory that it took (Linux).

    setup, call: Python; arguments are in sys.argv[1:]. Raises TimeoutExpired where it hangs, and
    AssertionError where it ends in another way than with a WorkshopError.
    """
    code = CALL.format(setup=setup, call=call)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=HUNG)
    assert result.returncode == 0, result.stderr[-3000:]
    said, megabytes = json.loads(result.stdout.splitlines()[-1])
    assert said is not None, "It was accepted."
    return said, megabytes
