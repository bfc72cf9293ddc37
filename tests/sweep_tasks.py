"""What the sweep's tests let workers do: quick, or fatal. Each call leaves a line in a file."""

import os
import signal
import time
from pathlib import Path

from distributed import get_worker

from workshop_utils.errors import WorkshopError

LOG, MOST = "WORKSHOP_TEST_LOG", "WORKSHOP_TEST_MOST"
DIES_ONCE, RAISES, DIES = 3, 4, 5  # seeds


def well(values):
    """A run that succeeds."""
    with Path(os.environ[LOG]).open("a") as log:
        log.write(f"{values['SEED']}\n")
    time.sleep(0.1)
    worker = get_worker().address
    files = {"models/model.tflite": f"{values['SEED']}".encode()}
    return {"test_error": 0.01, "flash": 9000, "files": files, "seconds": 0.1, "worker": worker}


def hangs(values):
    """The same, but only the first few seeds ever end."""
    if values["SEED"] > int(os.environ[MOST]):
        time.sleep(100_000)
    return well(values)


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


def graded(values):
    """The same, but seed 5 fails, 4 and 6 are good, and the later the larger."""
    seed = values["SEED"]
    if seed == 5:
        raise WorkshopError("bad luck")
    return well(values) | {"good": seed in (4, 6), "flash": 9000 + seed, "test_error": 1 / seed}


def nothing(values):
    """A run that takes no time and makes nothing."""
    return {"test_error": 0.01, "flash": 9000, "files": {}}


def grows(values):
    """The same, in a worker that takes more and more memory."""
    grown = getattr(get_worker(), "grown", 0) + (400 << 20)
    get_worker().grown = grown
    return nothing(values) | {"memory": grown, "worker": get_worker().address}


def dies_among_others(values):
    """The same, but one of many kills its worker, each time."""
    if values["SEED"] == 200:
        os.kill(os.getpid(), signal.SIGKILL)
    return nothing(values)


def calls():
    """The seeds that workers were given, one each time."""
    log = Path(os.environ[LOG])
    return [int(line) for line in log.read_text().split()] if log.exists() else []
