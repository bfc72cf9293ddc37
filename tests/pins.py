"""The project's files that pin versions, read as text."""

import re

from packaging.requirements import Requirement

from workshop_utils import paths


def read(name):
    """The text of a file of the project."""
    return (paths.PROJECT / name).read_text(encoding="utf-8")


def read_lock(text):
    """The requirements of a lock as (Requirement, number of hashes) in the file's order."""
    joined = re.sub(r"\\\r?\n", " ", text)
    locked = []
    for line in joined.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        requirement, *hashes = re.split(r"\s+--hash=", line)
        good = [h for h in hashes if re.fullmatch(r"sha256:[0-9a-f]{64}", h.strip())]
        locked.append((Requirement(requirement), len(good) if len(good) == len(hashes) else 0))
    return locked


def pin(requirement):
    """The version of an exact pin, or None."""
    specifiers = list(requirement.specifier)
    if len(specifiers) == 1 and specifiers[0].operator == "==" and "*" not in str(specifiers[0]):
        return specifiers[0].version
    return None
