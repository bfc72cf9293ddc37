"""pyproject.toml chooses the versions; the lock, environment.yml and what is installed agree.

Nothing here needs the network: the lock is read as text, its markers are evaluated for every
platform that the course supports.
"""

import importlib.metadata
import itertools
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pins import pin, read, read_lock

from workshop_utils import paths

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYTHONS = {"3.10": "3.10.13", "3.11": "3.11.7", "3.12": "3.12.1", "3.13": "3.13.0"}
PLATFORMS = {
    "Linux x86-64": ("linux", "x86_64", "Linux", "posix"),
    "Linux aarch64": ("linux", "aarch64", "Linux", "posix"),
    "macOS arm64": ("darwin", "arm64", "Darwin", "posix"),
    "Windows x86-64": ("win32", "AMD64", "Windows", "nt"),
}
OPTIONS = "--universal --python-version 3.10 --generate-hashes --no-annotate"
# Each lock by the command that makes it, and the extras of pyproject.toml that are in it.
LOCKS = {
    "requirements.lock": (f"--extra setup {OPTIONS} -o requirements.lock", ["setup"]),
    "requirements-dev.lock": (
        f"--all-extras {OPTIONS} -c requirements.lock -o requirements-dev.lock",
        ["setup", "dev"],
    ),
}


def environments():
    """Marker environments by name, one for each Python and platform that the course supports."""
    result = {}
    for python, (platform, values) in itertools.product(PYTHONS, PLATFORMS.items()):
        sys_platform, machine, system, os_name = values
        result[f"Python {python} on {platform}"] = {
            "python_version": python,
            "python_full_version": PYTHONS[python],
            "implementation_version": PYTHONS[python],
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": sys_platform,
            "platform_machine": machine,
            "platform_system": system,
            "platform_release": "",
            "platform_version": "",
            "os_name": os_name,
            "extra": "",
        }
    return result


def applies(requirement, environment):
    return requirement.marker is None or requirement.marker.evaluate(environment)


def project_requirements(pyproject_text, extras=()):
    """The strings of [project] dependencies plus those of the extras."""
    project = tomllib.loads(pyproject_text)["project"]
    optional = project["optional-dependencies"]
    return project["dependencies"] + [r for extra in extras for r in optional[extra]]


def check_lock(pyproject_text, lock_text, extras=("setup", "dev")):
    """What is wrong with the lock: a list of sentences, empty if it is right."""
    problems = []
    locked = read_lock(lock_text)
    for requirement, hashes in locked:
        if hashes == 0:
            problems.append(f"requirements.lock has no sha256 hashes for {requirement.name}")
        if pin(requirement) is None:
            problems.append(f"requirements.lock does not pin {requirement.name}")
    wanted = [Requirement(text) for text in project_requirements(pyproject_text, extras)]
    for requirement in wanted:
        if pin(requirement) is None:
            problems.append(f"pyproject.toml does not pin {requirement.name}")
    for where, environment in environments().items():
        versions = defaultdict(set)
        for requirement, _ in locked:
            if applies(requirement, environment):
                versions[canonicalize_name(requirement.name)].add(pin(requirement))
        for name, found in versions.items():
            if len(found) > 1:
                problems.append(f"requirements.lock has {sorted(found)} of {name} for {where}")
        for requirement in wanted:
            found = versions[canonicalize_name(requirement.name)]
            if applies(requirement, environment) and found != {pin(requirement)}:
                problems.append(
                    f"pyproject.toml wants {requirement.name} {pin(requirement)} for {where}, "
                    f"requirements.lock has {sorted(found) or 'none'}"
                )
    return problems


def check_conda(pyproject_text, conda_text):
    """What is wrong with environment.yml: a list of sentences, empty if it is right."""
    problems = []
    content = yaml.safe_load(conda_text)["dependencies"]
    lists = [entry["pip"] for entry in content if isinstance(entry, dict)]
    if len(lists) != 1:
        return ["environment.yml has no pip section"]
    wanted = [*project_requirements(pyproject_text), "-e ."]
    for line in wanted:
        if line not in lists[0]:
            problems.append(f"environment.yml lacks {line!r}")
    for line in lists[0]:
        if line not in wanted:
            problems.append(f"environment.yml has {line!r}, pyproject.toml does not")
    if len(lists[0]) != len(set(lists[0])):
        problems.append("environment.yml says something twice")
    before = ""
    for line in conda_text.splitlines():
        before, previous = line, before
        commented = " # " in line or previous.startswith("      # ")
        if line.startswith("      - ") and not commented:
            problems.append(f"environment.yml does not say what {line.strip()!r} is for")

    python = [entry for entry in content if isinstance(entry, str) and "python=" in entry]
    if len(python) != 1 or python[0].removeprefix("python=") not in PYTHONS:
        problems.append(f"environment.yml names {python}, not one Python of {sorted(PYTHONS)}")
    if "pip" not in content:
        problems.append("environment.yml does not name pip itself")
    return problems


def check_installed(lock_text, installed, environment):
    """What of the installed packages ({name: version}) differs from the lock."""
    locked = {
        canonicalize_name(requirement.name): pin(requirement)
        for requirement, _ in read_lock(lock_text)
        if applies(requirement, environment)
    }
    problems = [
        f"{name} {version} is installed, the lock has {locked.get(name, 'none')}"
        for name, version in installed.items()
        if name != "workshop-utils" and locked.get(name) != version
    ]
    problems += [f"{name} is not installed" for name in locked if name not in installed]
    return problems


def replaced(text, old, new):
    """The text with its first `old` changed, and sure that there was one."""
    assert old in text
    return text.replace(old, new, 1)


def pinned(name):
    """One exact pin of pyproject.toml, as it is written there."""
    return re.search(rf'"({re.escape(name)}==[^ "]+)', read("pyproject.toml")).group(1)


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_has_what_pyproject_wants(lock):
    assert check_lock(read("pyproject.toml"), read(lock), LOCKS[lock][1]) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_says_how_it_is_made(lock):
    command = f"uv pip compile pyproject.toml {LOCKS[lock][0]}"
    assert command in read(lock).splitlines()[1]
    assert f".venv/bin/{command}\n" in read("docs/maintaining.md")


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_has_the_small_wheel_of_fonttools_alone(lock):
    found = [hashes for one, hashes in read_lock(read(lock)) if one.name == "fonttools"]
    assert found and set(found) == {1}, "docs/maintaining.md says which hash is to stay"


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_names_no_index(lock):
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", read(lock))


def test_what_tests_need_changes_nothing_of_the_course():
    course, all_of_it = (read_lock(read(lock)) for lock in LOCKS)
    for where, environment in environments().items():
        installed, with_tests = (
            {(r.name, pin(r)) for r, _ in lock if applies(r, environment)}
            for lock in (course, all_of_it)
        )
        assert installed <= with_tests, where
    names = {requirement.name for requirement, _ in course}
    assert not names & {"ruff", "mypy", "hypothesis", "playwright", "deptry"}


def test_conda_gets_what_pyproject_wants():
    assert check_conda(read("pyproject.toml"), read("environment.yml")) == []


def test_what_is_imported_is_declared():
    command = [sys.executable, "-m", "deptry", ".", "--no-ansi"]
    result = subprocess.run(command, cwd=paths.PROJECT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_pyproject_allows_the_pythons_that_are_tested_here():
    from packaging.specifiers import SpecifierSet

    allowed = SpecifierSet(tomllib.loads(read("pyproject.toml"))["project"]["requires-python"])
    assert all(allowed.contains(full) for full in PYTHONS.values())
    assert not allowed.contains("3.9.18")
    assert not allowed.contains("3.14.0")


def test_what_is_installed_is_what_is_locked():
    installed = {}
    for distribution in importlib.metadata.distributions():
        installed.setdefault(canonicalize_name(distribution.metadata["Name"]), distribution.version)
    # A conda environment takes the same direct dependencies, but what those need is its own choice.
    if not (Path(sys.prefix) / ".workshop-set-up").is_file():
        pytest.skip("this Python was not set up by install.sh")
    environment = {**default_environment(), "extra": ""}
    lock = "requirements-dev.lock" if "pytest-xdist" in installed else "requirements.lock"
    assert check_installed(read(lock), installed, environment) == []


# A check that cannot fail proves nothing, so each is shown a changed copy.


@pytest.mark.parametrize("name", ["numpy", "tensorflow", "jupyterlab", "uv", "pytest"])
def test_another_version_in_the_lock_is_noticed(name):
    changed = replaced(read("requirements-dev.lock"), f"\n{pinned(name)}", f"\n{name}==0.0.1")
    assert any(f"wants {name} " in p for p in check_lock(read("pyproject.toml"), changed))


def test_another_version_in_pyproject_is_noticed():
    changed = replaced(read("pyproject.toml"), pinned("papermill"), "papermill==0.0.1")
    assert check_lock(changed, read("requirements-dev.lock"))
    assert check_conda(changed, read("environment.yml"))


def test_a_loose_requirement_is_noticed():
    changed = replaced(read("pyproject.toml"), pinned("tqdm"), "tqdm>=4")
    assert "pyproject.toml does not pin tqdm" in check_lock(changed, read("requirements-dev.lock"))


def test_a_package_missing_on_one_platform_is_noticed():
    line = f"\n{pinned('click')}"
    changed = replaced(read("requirements-dev.lock"), line, f"{line} ; sys_platform != 'win32'")
    problems = check_lock(read("pyproject.toml"), changed)
    assert len(problems) == len(PYTHONS)
    assert all("Windows" in p for p in problems)


def test_missing_and_broken_hashes_are_noticed():
    lock = read("requirements-dev.lock")
    without = re.sub(r"(\nclick==[^ ]+)( \\\n +--hash=\S+)+", r"\1", lock)
    assert without != lock
    sentence = "requirements.lock has no sha256 hashes for click"
    assert sentence in check_lock(read("pyproject.toml"), without)
    short = re.sub(r"(\nclick==[^ ]+ \\\n +--hash=sha256:[0-9a-f]{20})[0-9a-f]+", r"\1", lock)
    assert sentence in check_lock(read("pyproject.toml"), short)


def test_differences_in_the_conda_file_are_noticed():
    pyproject, conda = read("pyproject.toml"), read("environment.yml")
    click = f"      - {pinned('click')}"
    for changed in (
        replaced(conda, click, "      - click==0.0.1"),
        replaced(conda, click, "      # "),
        replaced(conda, click, f"      - extra==1 # new\n{click}"),
        replaced(conda, "      - -e .", "      # "),
        replaced(conda, "python=3.12", "python=3.9"),
        re.sub(rf"{re.escape(click)} #.*", click, conda),
    ):
        assert changed != conda
        assert check_conda(pyproject, changed)


def test_a_package_installed_in_another_version_is_noticed():
    environment = environments()["Python 3.11 on Linux x86-64"]
    locked = {
        canonicalize_name(requirement.name): pin(requirement)
        for requirement, _ in read_lock(read("requirements-dev.lock"))
        if applies(requirement, environment)
    }
    assert check_installed(read("requirements-dev.lock"), locked, environment) == []
    for changed in ({"click": "0.0.1"}, {"unlocked": "1.0"}):
        assert check_installed(read("requirements-dev.lock"), {**locked, **changed}, environment)
    del locked["click"]
    assert check_installed(read("requirements-dev.lock"), locked, environment) == [
        "click is not installed"
    ]
