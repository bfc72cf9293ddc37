"""Readers of files that mean harm, each called in a process of its own that is measured."""

import json
import subprocess
import sys

from patience import HUNG

MOST_SECONDS, MOST_MEGABYTES = 5, 500
CALL = """
import json, resource, sys, time
from workshop_utils.errors import WorkshopError
{setup}
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    {call}
    said = None
except WorkshopError as error:
    said = str(error)
seconds = time.process_time() - began
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([said, used * 1024 / 1e6, seconds]))
"""


def refused(setup, call, *arguments):
    """The sentence with which `call` refuses a file, and the MB of memory that it took (Linux).

    setup, call: Python; arguments are in sys.argv[1:]. Raises TimeoutExpired where it hangs, and
    AssertionError where it ends in another way than with a WorkshopError, or computes for longer
    than MOST_SECONDS, whatever else the machine has to do meanwhile.
    """
    code = CALL.format(setup=setup, call=call)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=HUNG)
    assert result.returncode == 0, result.stderr[-3000:]
    said, megabytes, computed = json.loads(result.stdout.splitlines()[-1])
    assert said is not None, "It was accepted."
    assert computed < MOST_SECONDS and megabytes < MOST_MEGABYTES
    return said, megabytes


FOR_EACH = """
import json, pathlib, resource, sys, time
from workshop_utils.errors import WorkshopError
{setup}
found = {{}}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        {call}
        said = ""
    except WorkshopError as error:
        said = str(error)
    seconds = time.process_time() - began
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    found[path.name] = said, used * 1024 / 1e6, seconds
print(json.dumps(found))
"""


def survived(setup, call, folder):
    """What `call`, Python with the variable `path`, says of each file in a folder: {name: a
    sentence, '' for one that it takes}. Raises as `refused` does, but not for what is taken."""
    command = [sys.executable, "-c", FOR_EACH.format(setup=setup, call=call), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=HUNG)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.splitlines()[-1])
    for name, (_, megabytes, computed) in found.items():
        assert computed < MOST_SECONDS and megabytes < MOST_MEGABYTES, name
    return {name: said for name, (said, *_) in found.items()}
