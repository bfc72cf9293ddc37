"""What the sweep's tests let workers do: quick, or fatal. Each call leaves a line in a file."""

import os
import signal
import time
from pathlib import Path

from distributed import get_worker

LOG = "WORKSHOP_TEST_LOG"
DIES_ONCE, RAISES, DIES = 3, 4, 5  # seeds


def well(values):
    """A run that succeeds."""
    with Path(os.environ[LOG]).open("a") as log:
        log.write(f"{values['SEED']}\n")
    time.sleep(0.1)
    worker = get_worker().address
    files = {"models/model.tflite": f"{values['SEED']}".encode()}
    return {"test_error": 0.01, "flash": 9000, "files": files, "seconds": 0.1, "worker": worker}


def deadly(values):
    """The same, but some seeds kill their worker without warning, and one raises."""
    seed = values["SEED"]
    before = calls().count(seed)
    result = well(values)
    if seed == RAISES:
        raise ValueError("no\nluck")
    if seed == DIES or (seed == DIES_ONCE and not before):
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def calls():
    """The seeds that workers were given, one each time."""
    log = Path(os.environ[LOG])
    return [int(line) for line in log.read_text().split()] if log.exists() else []
