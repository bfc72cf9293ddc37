"""What is left of the `workshop` command without the package click: the doctor, who misses it."""

import json
import sys

from workshop_utils import doctor

_WORDS = ({"doctor"}, {"doctor", "--json"}, {"doctor", "--deep"}, {"doctor", "--json", "--deep"})


def main() -> None:
    """Do what `workshop doctor` does; refuse anything else in one sentence."""
    words = sys.argv[1:]
    if set(words) not in _WORDS:
        sys.exit("Error: The Python package click is missing; workshop doctor says how to get it.")
    found = doctor.examine("--deep" in words)
    if "--json" in words:
        print(json.dumps(found, indent=1))
    else:
        print(*map(doctor.text, found["checks"]), "", doctor.verdict(found), sep="\n")
    sys.exit(0 if found["ready"] else 1)
