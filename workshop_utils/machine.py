"""What the course runs on: the computer, and the packages beside those that it was tested with."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop_utils import paths

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def describe() -> dict[str, Any]:
    """The computer: {'system', 'architecture', 'processor', 'cpus', 'memory_bytes', 'python'}.

    Texts, but 'cpus' and 'memory_bytes' are integers, None where the system does not say. Nothing
    here names a person, a computer or a folder, so it can be handed round.
    """
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_bytes": memory()[0],
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        named = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    except OSError:
        named = None
    return named[1].strip() if named else platform.processor() or platform.machine()


def memory() -> tuple[int, int] | tuple[None, None]:
    """Bytes of memory, all and available; (None, None) where psutil is missing."""
    try:
        import psutil
    except ImportError:  # It comes with ipykernel; the doctor says so if that is not there.
        return None, None
    found = psutil.virtual_memory()
    return found.total, found.available


def pins() -> dict[str, str]:
    """The versions that the project asks for on this machine: {name: version}.

    Source: pyproject.toml, dependencies without extras, their markers evaluated here. Raises
    OSError if there is no such file, ImportError if a package that reads it is missing.
    """
    from packaging.requirements import Requirement

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    text = (paths.PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    requirements = map(Requirement, tomllib.loads(text)["project"]["dependencies"])
    return _here(requirements)


def locked() -> dict[str, str]:
    """The same of requirements.lock, so with all that those packages need: {name: version}."""
    from packaging.requirements import Requirement

    text = (paths.PROJECT / "requirements.lock").read_text(encoding="utf-8")
    lines = re.findall(r"^([a-zA-Z0-9][^\\\n]*?) *\\?$", text, re.MULTILINE)
    return _here(map(Requirement, lines))


def _here(requirements: "Iterable[Requirement]") -> dict[str, str]:
    return {
        requirement.name: next(iter(requirement.specifier)).version
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }


def installed(name: str) -> str | None:
    """The version of an installed package; None if it is not there. Does not import it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """{name: text or None}: the installed versions of the packages that the project asks for.

    Where the project is a clone of its repository, the first one is its 'commit'.
    """
    course = commit()
    found: dict[str, str | None] = {} if course is None else {"commit": course}
    try:
        return found | {name: installed(name) for name in pins()}
    except (OSError, ImportError):
        return found


def commit(project: Path = paths.PROJECT) -> str | None:
    """The git commit of a project's folder, with '-dirty' if files have changed since.

    None if the folder is no clone, or if git is missing or refuses to look.
    """
    if not (project / ".git").exists():  # it may lie in the clone of something else
        return None
    command = ["git", "--no-optional-locks", "-C", str(project), "describe"]
    command += ["--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
