"""The course's requirements with every pin loosened to "this version or newer", for `uv pip`.

.venv/bin/python tools/newest_versions.py > newest.txt
"""

import argparse
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).resolve().parents[1]


def loosened(requirement):
    """A requirement, text, with `>=` for `==`; what stands after its semicolon stays."""
    wanted, semicolon, marker = requirement.partition(";")
    return wanted.replace("==", ">=") + semicolon + marker


def requirements(pyproject):
    """All requirements in a pyproject.toml (text), those of its extras and groups too."""
    content = tomllib.loads(pyproject)
    project = content["project"]
    more = (project.get("optional-dependencies", {}), content.get("dependency-groups", {}))
    lists = [project["dependencies"], *(names for group in more for names in group.values())]
    return [name for names in lists for name in names if isinstance(name, str)]


def main():
    """Print them, one per line."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    print(*map(loosened, requirements(text)), sep="\n")


if __name__ == "__main__":
    main()
