"""What the documents say: every link leads somewhere, every command is one that exists.

A command is a line of an indented block, or a piece in backticks that begins like one. Commands of
the course are parsed by the programs that they call, and cheap ones run. NOT_TRIED names the
programs that cannot be asked here; any other program fails the test.
"""

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import click
import nbclient
import nbformat
import pytest
import yaml
from patience import HUNG

from workshop_utils import machine
from workshop_utils.cli import main
from workshop_utils.running.kernel import Kernel

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DOCUMENTS = [
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").glob("*.md")),
    *sorted((PROJECT / "firmware").glob("*.md")),
    PROJECT / "hub" / "README.md",
    *sorted((PROJECT / "notebooks").glob("*.md")),
]
each = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.relative_to(PROJECT).as_posix()
)

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)  # examples of files
SCRIPT = re.compile(r"(?:benchmarks|tools)/\w+\.py")
MADE_LATER = {"hub/state", "hub/.venv", "hub/node_modules"}
NOT_TRIED = {
    "cd": "a shell's own",
    "docker": "a daemon",
    "git": "an address that each project has for itself",
    "helm": "a cluster",
    "jupyter-repo2docker": "Docker",
    "pip": "the network",
    "pio": "PlatformIO, which downloads a compiler",
    "qemu-system-arm": "tests/firmware/ and tests/test_firmware.py run it",
    "repo2docker": "Docker",
    "sudo": "an administrator",
}


# ---- Links


def written(document):
    return document.read_text(encoding="utf-8")


def without_code(text):
    return re.sub(r"(?m)`[^`\n]+`|^ {4,}\S.*$", "", FENCED.sub("", text))


def anchors(text):
    """What GitHub calls the headings of a Markdown text, which links end with."""
    found, times = [], Counter()
    for heading in re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        found.append(f"{name}-{times[name]}" if times[name] else name)
        times[name] += 1
    return found


def dead_links(document):
    """The links of a document that lead nowhere, as they are written."""
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(written(document))):
        target, _, anchor = link.partition("#")
        file = document.parent / target if target else document
        if link.startswith("https://"):
            continue  # no network here
        if (
            not file.exists()
            or PROJECT not in file.resolve().parents
            or (anchor and anchor not in anchors(written(file)))
        ):
            dead.append(link)
    return dead


@each
def test_its_links_lead_somewhere(document):
    assert dead_links(document) == []


def test_a_dead_link_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PROJECT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# A page, of two\n\n## Again\n\n## Again\n\n[a](gone.md) [b](#a-page-of-two) [c](#gone)\n"
        "[d](page.md#again-1) [e](page.md#again-2) [f](../outside.md) `[g](code.md)`\n"
    )
    assert dead_links(page) == ["gone.md", "#gone", "page.md#again-2", "../outside.md"]


@each
def test_the_files_that_it_names_are_there(document):
    """In backticks, as a path below a folder of the project."""
    folders = "benchmarks|docs|hub|notebooks|tests|tools|workshop_utils"
    for name in re.findall(rf"`(?:\.venv/bin/python )?((?:{folders})/[^`\s]+)", written(document)):
        assert (PROJECT / name).exists() or name in MADE_LATER, name


@each
def test_its_pictures_say_what_they_show(document):
    assert all(len(text) > 20 for text in re.findall(r"!\[([^\]]*)\]", written(document)))


def test_the_readme_is_short():
    lines = written(PROJECT / "README.md").splitlines()
    assert len(lines) <= 110
    shown = [line.strip().partition("  ")[0] for line in lines if line.startswith("    ")]
    assert {"./install.sh --run", "./install.sh --test"} <= set(shown)


# ---- Commands


def indented(text):
    """The lines of indented code, without what follows a `#` and with continued lines joined."""
    text = re.sub(r" \\\n +", " ", FENCED.sub("", text))
    return re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)


def commands(text):
    """All commands of a text, each a list of words: of its blocks, and in backticks."""
    begins = re.compile(r"\.venv/bin/\w|(\./|hub/)install\.sh|workshop |(benchmarks|tools)/\w+\.py")
    pieces = indented(text) + [p for p in re.findall(r"`([^`\n]+)`", text) if begins.match(p)]
    for piece in pieces:
        line = []
        for word in [*shlex.split(piece, comments=True), "&&"]:
            if word not in ("&&", "|"):
                line.append(word)
            elif line:
                yield line[: line.index(">")] if ">" in line else line
                line = []


def without_settings(words):
    """A command without the environment variables before it."""
    while words and re.match(r"[A-Z_][A-Z0-9_]*=", words[0]):
        words = words[1:]
    return words


def installed(name):
    program = shutil.which(name, path=str(BIN))
    assert program, f"There is no {name} in {BIN}."
    return program


@cache
def help_of(*command):
    result = subprocess.run(
        [*map(str, command), "--help"], capture_output=True, text=True, cwd=PROJECT, timeout=HUNG
    )
    assert result.returncode == 0, (command, result.stderr)
    return result.stdout


# All in one process, since they import the same. Each is as if it were called by itself.
HELPS = """
import contextlib, io, json, runpy, sys, traceback
found = {}
for script in sys.argv[1:]:
    said, sys.argv, sys.path[0] = io.StringIO(), [script, "--help"], script.rpartition("/")[0]
    with contextlib.redirect_stdout(said):
        try:
            runpy.run_path(script, run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except Exception:
            code = traceback.format_exc()
    found[script] = code, said.getvalue()
json.dump(found, sys.stdout)
"""


@cache
def helps_of_scripts():
    """{path: (exit code, help)} of the scripts that a document names."""
    named = {word for page in DOCUMENTS for words in commands(written(page)) for word in words}
    scripts = sorted(str(PROJECT / word) for word in named if SCRIPT.fullmatch(word))
    result = subprocess.run(
        [sys.executable, "-c", HELPS, *filter(os.path.isfile, scripts)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=HUNG,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def help_of_script(name):
    assert (PROJECT / name).is_file(), f"There is no {name}."
    code, said = helps_of_scripts()[str(PROJECT / name)]
    assert code == 0, (name, code)
    return said


def assert_options_exist(words, usage):
    for option in (word.partition("=")[0] for word in words if word.startswith("-")):
        pattern = rf"(?<![\w-]){re.escape(option)}(?![\w-])"
        assert re.search(pattern, usage), f"{option} is not in the help: {words}"


@pytest.fixture
def parsed(monkeypatch):
    """A function that lets the `workshop` command parse words, and returns the command's name.

    It raises click's own exception where the words do not fit; the command itself does not run.
    """
    reached = []

    def replace(command, path):
        if isinstance(command, click.Group):
            for name, one in command.commands.items():
                replace(one, [*path, name])
        else:
            monkeypatch.setattr(command, "callback", lambda **_: reached.append(" ".join(path)))

    replace(main, [])

    def parse(words):
        main(words, standalone_mode=False)
        return reached.pop()

    return parse


def is_mention(words):
    """Whether words only name a command, as a sentence does: its arguments stand elsewhere."""
    command = main
    for word in words:
        command = command.commands.get(word) if isinstance(command, click.Group) else None
    return command is not None


def try_command(words, parsed):
    """Fail unless a command exists and takes these words."""
    program, *rest = without_settings(words)
    name = program.removeprefix(".venv/bin/")
    script = SCRIPT.fullmatch(name)
    if name == "python" and (not rest or rest[0] == "-m"):
        return  # another program's, with an option of Python
    if name == "python" or script:
        script, *rest = [name, *rest] if script else rest
        assert_options_exist(rest, help_of_script(script))
    elif name == "workshop":
        if not is_mention(rest):
            parsed(rest)
    elif name in ("./install.sh", "hub/install.sh"):
        usage = help_of("bash", PROJECT / name)
        own = rest[:1] if rest[:1] == ["--test"] else rest  # what follows is pytest's
        assert_options_exist(own, usage)
    elif name == "hub/.venv/bin/jupyterhub":
        assert all((PROJECT / word).is_file() for word in rest if not word.startswith("-"))
    elif name == "cmake":
        text = written(PROJECT / "firmware" / "CMakePresets.json")
        assert rest[0] != "--preset" or f'"{rest[1]}"' in text, f"There is no preset {rest[1]}."
    elif name == "unshare":
        try_command(rest[1:], parsed)
    elif name == "pytest":
        assert_options_exist(rest, help_of(installed(name)))
        assert all((PROJECT / word).exists() for word in rest if not word.startswith("-"))
    elif program.startswith(".venv/bin/"):
        plain = [word for word in rest if word.isalpha()]  # such as `pip compile`
        assert_options_exist(rest, help_of(installed(name), *plain))
    elif (PROJECT / program).is_file():
        assert os.access(PROJECT / program, os.X_OK), f"{program} is not executable."
    else:
        assert program in NOT_TRIED, f"No test knows how to try {program}: {words}"


@each
def test_its_commands_exist(document, parsed):
    for words in commands(written(document)):
        try:
            if without_settings(words):
                try_command(words, parsed)
        except click.ClickException as error:
            pytest.fail(f"workshop refuses {words}: {error.format_message()}")


@pytest.mark.parametrize(
    "line",
    [
        ".venv/bin/workshop run --form 04",
        ".venv/bin/workshop firmware build --board nobody",
        "workshop nothing",
        "./install.sh --tset",
        "hub/install.sh --target hub",
        "benchmarks/convergence.py --sedes 3",
        ".venv/bin/python tools/gone.py",
        ".venv/bin/pytest --nbval-lux notebooks",
        ".venv/bin/uv pip compile --nothing",
        "cmake --preset nobody",
        "make everything",
    ],
)
def test_a_wrong_command_is_noticed(line, parsed):
    (words,) = commands(f"text\n\n    {line}  # remark\n")
    with pytest.raises((AssertionError, click.ClickException)):
        try_command(words, parsed)


def test_there_are_commands_to_look_at():
    found = [without_settings(words) for one in DOCUMENTS for words in commands(written(one))]
    workshop = {words[1] for words in found if words[0].endswith("workshop") and len(words) > 1}
    assert workshop >= set(main.commands)
    assert {words[0] for words in found} >= {"./install.sh", "hub/install.sh", ".venv/bin/uv"}


# ---- Commands that are cheap enough to run


def call(words, home):
    """Run a command of the documents as it is written, with its artifacts in `home`."""
    program, *rest = words
    name = program.removeprefix(".venv/bin/")
    program = sys.executable if name == "python" else installed(name)
    return subprocess.run(
        [program, *rest],
        cwd=PROJECT,
        env={**os.environ, "WORKSHOP_HOME": str(home)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "line",
    [
        ".venv/bin/workshop doctor",
        ".venv/bin/workshop catch-up 05",
        ".venv/bin/python tools/link_notebooks.py --check",
        ".venv/bin/python tools/make_picture.py --check",
        ".venv/bin/pytest --nbval notebooks --collect-only",
        ".venv/bin/ruff check .",
    ],
)
def test_it_runs(line, tmp_path):
    words = line.split()
    documented = words[:-1] if words[-1] == "--collect-only" else words
    assert any(documented == one for page in DOCUMENTS for one in commands(written(page)))
    if "make_picture.py" in line:
        pytest.importorskip("tflite_micro", reason="the picture says how many answers are TFLM's")
    result = call(words, tmp_path)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


def test_the_firmware_runs_as_its_page_says(tmp_path, tmp_path_factory):
    lines = [
        words
        for words in commands(written(PROJECT / "firmware" / "README.md"))
        if words[:2] == [".venv/bin/workshop", "firmware"] and words[2] in ("build", "run", "sweep")
    ]
    home = tmp_path_factory.mktemp("home")
    answers = tmp_path / "answers.csv"
    for words in lines:
        words = [str(answers) if word == answers.name else word for word in words]
        result = call(words, home)
        assert result.returncode == 0, (words, result.stderr)
    assert len(answers.read_text().splitlines()) == 257
    assert len(lines) == 3


def test_the_example_of_a_sweep_is_one(tmp_path):
    from workshop_utils.sweeps import spec as sweep_spec

    (example,) = re.findall(
        r"^```yaml\n(.*?)^```$", written(PROJECT / "docs/sweeps.md"), re.M | re.S
    )
    spec = tmp_path / "spec.yml"
    spec.write_text(example)
    assert len(sweep_spec.read(spec).runs) == 5 * 3 * 2 * 2 * 2


# ---- What the pages add up to


@pytest.mark.parametrize(("heading", "minutes"), [("Three hours", 180), ("One hour", 60)])
def test_a_timetable_adds_up(heading, minutes):
    text = (PROJECT / "docs" / "instructor.md").read_text(encoding="utf-8")
    table = text.partition(f"| {heading} |")[2].partition("\n\n")[0]
    clock = 0
    for hour, minute, length in re.findall(r"\| (\d):(\d\d) \|.*\| (\d+) min \|", table):
        assert int(hour) * 60 + int(minute) == clock
        clock += int(length)
    assert clock == minutes


def row_of(heading, notebook):
    """(minutes, text) of the row of a timetable that is about a notebook."""
    table = written(PROJECT / "docs" / "instructor.md").partition(f"| {heading} |")[2]
    rows = re.findall(r"\| \d:\d\d \| (.*) \| (\d+) min \|", table.partition("\n\n")[0])
    (found,) = [(int(m), text) for text, m in rows if f"otebook {notebook}" in text.split(".")[0]]
    return found


@pytest.mark.parametrize("number", range(1, 7))
def test_three_hours_leave_more_time_than_each_notebook_says(number):
    (path,) = (PROJECT / "notebooks").glob(f"{number:02}_*.ipynb")
    (minutes,) = re.findall(r"About (\d+) minutes", nbformat.read(path, 4).cells[0].source)
    assert row_of("Three hours", number)[0] * 3 >= int(minutes) * 4, "A room adds a third."


def sections(path, wanted):
    """A notebook of the cells before the first section, and of those of the wanted sections."""
    notebook, section, kept = nbformat.read(path, 4), "ahead", []
    for cell in notebook.cells:
        title = re.search(r"(?m)^## (?:(\d+)\.)?", cell.source)
        if cell.cell_type == "markdown" and title:
            section = title[1] or ("ahead" if section == "ahead" else "after")
        if section in {"ahead", *wanted}:
            kept.append((section, cell))
    assert {section for section, _ in kept} == {"ahead", *wanted}
    notebook.cells = [cell for _, cell in kept]
    return notebook


@pytest.mark.parametrize(("number", "expected"), [(5, "12345"), (6, "1457")])
def test_the_one_hour_timetable_runs_section_by_section(
    tmp_path, monkeypatch, tmp_path_factory, number, expected
):
    """With what everybody has by then, the sections that the page names run in their order."""
    said = row_of("One hour", number)[1].partition("sections ")[2]
    first, to, last = said.partition(" to ")
    wanted = "".join(map(str, range(int(first), int(last) + 1)) if to else re.findall(r"\d", said))
    assert wanted == expected
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("WORKSHOP_HOME", str(home))
    assert call([".venv/bin/workshop", "catch-up", str(number)], home).returncode == 0
    (path,) = (PROJECT / "notebooks").glob(f"{number:02}_*.ipynb")
    kernel = Kernel(path)  # as a run has it
    try:
        client = nbclient.NotebookClient(
            sections(path, wanted), km=kernel.manager, startup_timeout=HUNG
        )
        client.execute()  # It raises what a cell raises.
    finally:
        kernel.stop()


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or sys.version_info < (3, 11),
    reason="the page speaks of Linux on x86-64, and of a Python of today",
)
def test_how_many_files_a_wheelhouse_holds():
    """`./install.sh --download` says it at its end; each package of the lock is one file."""
    (files,) = re.findall(r"holds (\d+) files", written(PROJECT / "docs" / "instructor.md"))
    assert int(files) == len(machine.locked())


# ---- What repo2docker looks for (its documentation: "Configuration files")


def test_nothing_takes_precedence_over_the_environment():
    for name in ("binder", ".binder", "Dockerfile", "Project.toml", "default.nix"):
        assert not (PROJECT / name).exists(), f"repo2docker would build from {name}."


def test_the_environment_is_one_that_repo2docker_builds():
    content = yaml.safe_load((PROJECT / "environment.yml").read_text())
    assert isinstance(content, dict) and "prefix" not in content
    pythons = [d for d in content["dependencies"] if isinstance(d, str) and "python=" in d]
    assert len(pythons) == 1 and re.fullmatch(r"python=3\.\d+", pythons[0])
    (pip,) = [d["pip"] for d in content["dependencies"] if isinstance(d, dict)]
    assert "-e ." in pip, "A local requirement makes it copy the project before it installs."


def test_the_image_is_tried_out_when_it_is_built():
    script = PROJECT / "postBuild"
    assert os.access(script, os.X_OK) and script.read_text().startswith("#!/bin/bash\n")
    assert "workshop doctor" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)


def test_the_address_of_the_first_notebook():
    (first,) = (path.name for path in (PROJECT / "notebooks").glob("01_*.ipynb"))
    assert (PROJECT / "docs" / "hosting.md").read_text().count(f"notebooks/{first}") == 1
