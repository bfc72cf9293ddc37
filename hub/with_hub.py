"""Runs a module for as long as the hub does: `with_hub.py MODULE [ARGUMENTS]`, for services.

A hub that is killed cannot stop its services, and they would ask for it for ever.
"""

import os
import runpy
import sys
import threading
import time


def end_with(hub):
    """End this process as soon as the process that started it, whose id is `hub`, has ended."""
    while os.getppid() == hub:
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
