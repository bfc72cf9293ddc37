"""How much a sweep may be: limits that the command's help names, too."""

MAX_WORKERS = 64  # on one machine
CONFIRM = 500  # more runs than that have to be confirmed, on one machine
MAX_RUNS = 100_000  # and more are a mistake
