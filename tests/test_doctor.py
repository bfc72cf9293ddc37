import json
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from notebook_factory import write_notebook

from workshop_utils import doctor, machine, paths
from workshop_utils.cli import main
from workshop_utils.device import boards
from workshop_utils.errors import WorkshopError


@pytest.fixture(scope="module")
def printed():
    """What the command prints here, as JSON, and which modules it imported."""
    code = (
        "import sys\n"
        "from workshop_utils.cli import main\n"
        "try: main(['doctor', '--json'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def row(found, name):
    return next(check for check in found["checks"] if check["name"] == name)


def test_the_object_is_the_one_described(printed):
    found = json.loads(printed.stdout)
    assert printed.returncode == (0 if found["ready"] else 1)
    assert set(found) == {
        *(
            "schema",
            "kind",
            "started",
            "ready",
            "machine",
            "versions",
            "checks",
            "packages",
            "done",
        ),
        *("answers", "seconds"),
    }
    for check in found["checks"]:
        assert set(check) == {"name", "ok", "required", "found", "advice", "seconds"}
        assert check["ok"] or check["advice"], "What is wrong comes with what to do."
    assert found["ready"] == all(check["ok"] for check in found["checks"] if check["required"])
    assert found["versions"]["numpy"] == __import__("numpy").__version__


def test_it_really_starts_a_kernel_and_an_image(printed):
    found = json.loads(printed.stdout)
    assert row(found, "Jupyter kernel")["found"].startswith("python3 answered")
    assert "the answer is right" in row(found, "Compiler, emulator")["found"]


def test_it_does_not_import_tensorflow(printed):
    modules = printed.stderr.split()
    assert "jupyter_client" in modules and "unicorn" in modules
    assert not {"tensorflow", "keras", "pandas", "matplotlib"} & set(modules)


def test_the_object_names_nobody(printed):
    import getpass
    import platform

    for private in (getpass.getuser(), platform.node()):
        assert not private or f'"{private}"' not in printed.stdout


# ---- What it finds when something is wrong


def command(monkeypatch, *checks):
    monkeypatch.setattr(doctor, "_CHECKS", list(checks))
    return CliRunner().invoke(main, ["doctor"])


def test_a_missing_package_fails_with_the_command(monkeypatch):
    real = machine.installed
    monkeypatch.setattr(machine, "installed", lambda name: None if name == "keras" else real(name))
    monkeypatch.setattr(doctor, "_set_up_by_install", lambda: True)
    result = command(monkeypatch, ("Packages", True, doctor._packages))
    assert result.exit_code == 1
    assert "FIX " in result.output and "1 missing: keras" in result.output
    assert "uv pip install --python" in result.output
    assert "--require-hashes -r requirements.lock" in result.output
    assert "Not ready yet" in result.output


def test_another_version_is_a_note_and_listed(monkeypatch):
    real = machine.installed
    monkeypatch.setattr(machine, "installed", lambda name: "0.1" if name == "keras" else real(name))
    monkeypatch.setattr(doctor, "_CHECKS", [("Versions", False, doctor._versions)])
    found = doctor.examine()
    assert found["ready"] and not row(found, "Versions")["ok"]
    wanted = machine.pins()["keras"]
    assert {"name": "keras", "wanted": wanted, "found": "0.1"} in found["packages"]
    assert f"keras 0.1, not {wanted}" in row(found, "Versions")["found"]


def test_a_check_is_told_as_soon_as_it_is_done(monkeypatch):
    told, heard = [], threading.Event()

    def say(check):
        told.append(check)
        heard.set()

    checks = [
        ("First", True, lambda: (True, "here", None)),
        ("Second", True, lambda: (heard.wait(20), "the first one was told meanwhile", None)),
        ("Nothing to say", True, lambda: None),
    ]
    monkeypatch.setattr(doctor, "_CHECKS", checks)
    found = doctor.examine(say=say)
    assert told == found["checks"] and [check["ok"] for check in told] == [True, True]


@pytest.mark.parametrize(
    ("by_install", "conda", "command"),
    [(True, False, "uv pip install"), (False, True, "conda env update"), (False, False, "install")],
)
def test_the_command_fits_how_the_course_was_set_up(
    monkeypatch, tmp_path, by_install, conda, command
):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    if by_install:
        (tmp_path / ".workshop-set-up").write_text("x")
    if conda:
        (tmp_path / "conda-meta").mkdir()
    assert command in doctor._repair("ziglang")
    assert ("--reinstall-package ziglang" in doctor._repair("ziglang")) == by_install


def test_a_kernel_that_jupyter_does_not_know(monkeypatch):
    monkeypatch.setattr(doctor, "KERNEL", "no-such-kernel")
    ok, found, advice = doctor._kernel()
    assert not ok and found == "Jupyter knows no kernel no-such-kernel"
    assert advice.endswith("-m ipykernel install --sys-prefix")


def kernelspec(monkeypatch, tmp_path, *argv):
    folder = tmp_path / "kernels" / "other"
    folder.mkdir(parents=True)
    spec = {"argv": list(argv), "display_name": "other", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "KERNEL", "other")


def test_a_kernel_that_dies_says_why(monkeypatch, tmp_path):
    code = "raise SystemExit('No module named ipykernel_launcher')"
    kernelspec(monkeypatch, tmp_path, sys.executable, "-c", code)
    ok, found, _ = doctor._kernel()
    assert not ok and found == "other does not start: No module named ipykernel_launcher"


def test_a_kernel_of_another_python_is_noticed(monkeypatch, tmp_path):
    arguments = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernelspec(monkeypatch, tmp_path, sys.executable, *arguments)
    assert doctor._kernel()[0]
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    ok, found, advice = doctor._kernel()
    assert not ok and "belongs to another Python" in found
    assert "kernelspec remove -f other, then" in advice


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("1013904223u", "1013904224u", "the emulator computes wrongly"),
        ("uart[2] = 1;", "uart[2] = one;", "the compiler failed: ten_lines.cc:"),
        ("uart[2] = 1;", "*(volatile int*)0x60000000 = 1;", "0x60000000"),
    ],
)
def test_a_compiler_or_emulator_that_does_not_work(monkeypatch, old, new, words):
    assert old in doctor._PROGRAM
    monkeypatch.setattr(doctor, "_PROGRAM", doctor._PROGRAM.replace(old, new))
    ok, found, advice = doctor._firmware()
    assert not ok and words in found and advice


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "words"),
    [
        (1, "6.0 2.21.0", "Traceback\nImportError: no AVX", "ImportError: no AVX"),
        (0, "5.0 2.21.0", "", ""),
        (-4, "", "", "it dies with signal 4: the processor is too old"),
    ],
)
def test_a_tensorflow_that_does_not_work(monkeypatch, code, stdout, stderr, words):
    result = SimpleNamespace(returncode=code, stdout=stdout, stderr=stderr)
    monkeypatch.setattr(doctor.subprocess, "run", lambda *arguments, **options: result)
    ok, found, advice = doctor._tensorflow()
    assert not ok and words in found and advice


def test_a_tensorflow_that_works_says_how_long_it_took(monkeypatch):
    result = SimpleNamespace(returncode=0, stdout="6.0 2.21.0\n", stderr="")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *arguments, **options: result)
    started = time.monotonic()
    ok, found, advice = doctor._tensorflow()
    passed = time.monotonic() - started
    version, seconds = found.removesuffix(" s").split(", imported in ")
    assert ok and version == "2.21.0" and advice is None
    assert 0 <= float(seconds) <= passed + 0.05


def test_a_full_disk(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: SimpleNamespace(free=10_000_000))
    ok, found, advice = doctor._disk()
    assert not ok and found.startswith("0.0 GB free") and advice.startswith("make room")


def test_little_memory(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: (4_000_000_000, 700_000_000))
    ok, found, advice = doctor._memory()
    assert not ok and found == "0.7 of 4.0 GB available" and "close other programs" in advice


def test_a_check_that_breaks_does_not_take_the_doctor_along(monkeypatch):
    def breaks():
        raise OSError("no libc here\nand more")

    result = command(monkeypatch, ("Kernel", True, breaks))
    assert result.exit_code == 1
    assert "OSError: no libc here" in result.output and "Traceback" not in result.output


def test_without_click_the_command_is_the_doctor_alone(tmp_path):
    (tmp_path / "click").mkdir()
    (tmp_path / "click" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'click'\", name='click')"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def call(*words):
        command = [sys.executable, "-m", "workshop_utils.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    refused = call("run")
    assert refused.returncode == 1 and refused.stdout == ""
    assert refused.stderr.count("\n") == 1 and "package click is missing" in refused.stderr
    found = json.loads(call("doctor", "--json").stdout)
    assert row(found, "Jupyter kernel")["ok"]
    shown = call("doctor")
    assert "Jupyter kernel" in shown.stdout and shown.stderr == ""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("02_b.ipynb", "", "02_b.ipynb is empty"),
        ("02_b.ipynb", "<<<<<<< HEAD\n=======\n>>>>>>> b", "could not merge (line 1)"),
        ("02_b.ipynb", '{"cells": [', "02_b.ipynb is damaged or cut off"),
        ("02_b.ipynb", None, "02_b.ipynb with conda-env-x"),
        ("Untitled.ipynb", "", None),
    ],
)
def test_a_spoiled_notebook_is_noticed(monkeypatch, tmp_path, name, content, words):
    monkeypatch.setattr(paths, "NOTEBOOKS_DIR", tmp_path)
    write_notebook(tmp_path / "01_a.ipynb", "1")
    other = json.loads((tmp_path / "01_a.ipynb").read_text())
    other["metadata"]["kernelspec"]["name"] = "conda-env-x"
    (tmp_path / name).write_text(json.dumps(other) if content is None else content)
    checks = [check for check in doctor._CHECKS if check[0].startswith("Notebooks")]
    result = command(monkeypatch, *checks)
    assert result.exit_code == (content is not None and words is not None)
    assert (words or "all of them can be read") in result.output
    assert ("workshop reset" in result.output) == (result.exit_code == 1)
    assert ("choose python3" in result.output) == (content is None)


def test_a_deleted_notebook_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "NOTEBOOKS_DIR", tmp_path)
    write_notebook(tmp_path / "01_a.ipynb", "1")
    (tmp_path / "README.md").write_text("[1](01_a.ipynb), [2](02_b.ipynb)")
    checks = [check for check in doctor._CHECKS if check[0].startswith("Notebooks")]
    result = command(monkeypatch, *checks)
    assert result.exit_code == 1 and "02_b.ipynb is missing" in result.output
    assert "workshop reset" in result.output


WITHOUT = """
import json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from workshop_utils import doctor
print(json.dumps(doctor.examine()))
"""


@pytest.mark.parametrize(
    ("missing", "broken"),
    [
        (
            "top not in sys.stdlib_module_names and top != 'workshop_utils'",
            {"Packages", "Jupyter kernel", "Compiler, emulator", "Build tools"},
        ),
        ("top == 'numpy'", {"Compiler, emulator"}),
        ("top == 'packaging'", {"Packages"}),
    ],
    ids=["all", "numpy", "packaging"],
)
def test_it_says_what_is_wrong_whichever_package_is_missing(missing, broken):
    code = WITHOUT.format(missing=missing)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found["ready"]
    assert {
        check["name"] for check in found["checks"] if check["required"] and not check["ok"]
    } == (broken)
    for check in found["checks"]:
        assert check["ok"] or (check["found"] and check["advice"])


def test_a_line_for_a_terminal_has_a_mark_of_one_width():
    check = {"name": "Disk", "ok": True, "required": True, "found": "much", "advice": None}
    marks = []
    for changes in ({}, {"ok": False, "advice": "buy one"}, {"ok": False, "required": False}):
        line = doctor.text({**check, **changes}, lambda mark: marks.append(mark) or mark)
        assert ("-> buy one" in line) == (changes.get("advice") is not None)
    assert marks == ["ok  ", "FIX ", "note"]


def test_lines_for_a_terminal_stand_in_columns(printed):
    checks = json.loads(printed.stdout)["checks"]
    assert len({len(check["name"]) for check in checks}) > 1
    lines = [doctor.text({**check, "found": "|", "ok": True}) for check in checks]
    assert len({line.index("|") for line in lines}) == 1


def test_programs_that_are_not_needed_come_with_how_to_get_them(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda program: None)
    for check in (doctor._arm_gcc, doctor._qemu):
        ok, found, advice = check()
        assert not ok and "not needed" in found and "install" in advice


def port(device, vid=0x2E8A):
    return SimpleNamespace(device=device, vid=vid, description="a board")


@pytest.mark.parametrize(
    ("ports", "usable", "ok", "words"),
    [
        ([], True, False, "none connected"),
        ([port("/dev/ttyS0", vid=None)], True, False, "none connected"),
        ([port("/dev/ttyACM0")], True, True, "/dev/ttyACM0 (a board)"),
        ([port("/dev/ttyACM0")], False, False, "no permission for /dev/ttyACM0"),
    ],
)
def test_boards(monkeypatch, ports, usable, ok, words):
    tools = SimpleNamespace(list_ports=SimpleNamespace(comports=lambda: ports))
    monkeypatch.setitem(sys.modules, "serial", SimpleNamespace(tools=tools))
    monkeypatch.setitem(sys.modules, "serial.tools", tools)
    monkeypatch.setattr(doctor, "_usable", lambda device: usable)
    found = doctor._boards()
    assert found[0] is ok and words in found[1]


def test_without_pyserial_boards_are_left_out(monkeypatch):
    for name in ("serial", "serial.tools", "serial.tools.list_ports"):
        monkeypatch.setitem(sys.modules, name, None)
    assert doctor._look(("Boards", False, doctor._boards)) is None


def test_it_says_which_notebooks_are_done(tmp_path, monkeypatch):
    made_by = {tmp_path / "a": "02_a", tmp_path / "b": "03_b", tmp_path / "c": "03_b"}
    monkeypatch.setattr(doctor.paths, "MADE_BY", made_by)
    assert doctor._done() == []
    for name in ("a", "b"):
        (tmp_path / name).write_text("")
    assert doctor._done() == ["02_a"]


def test_the_table_has_a_row_for_each_check(printed):
    found = json.loads(printed.stdout)
    shown = doctor.table(found)
    assert list(shown.index) == [check["name"] for check in found["checks"]]
    assert (shown["Found"] == [check["found"] for check in found["checks"]]).all()
    command = "x" * 90  # longer than what pandas shows of its own accord
    check = {**found["checks"][0], "ok": False, "required": True, "advice": command}
    for whole in (repr, lambda table: table._repr_html_()):
        assert command in whole(doctor.table({"checks": [check]}))
    wrong = shown[shown[""] != "ok"]
    assert (wrong["What to do"] != "").all()
    assert (shown[shown[""] == "ok"]["What to do"] == "").all()


def test_the_oldest_and_newest_python_are_those_of_the_project():
    text = (machine.paths.PROJECT / "pyproject.toml").read_text()
    (low, high) = doctor.PYTHONS
    assert f'requires-python = ">={low[0]}.{low[1]},<{high[0]}.{high[1] + 1}"' in text


# ---- Files of the project that are damaged


@pytest.fixture
def damaged(monkeypatch):
    """f(name): the description of that board is damaged. Returns the sentence that says so."""

    def damage(name):
        sentence = f"firmware/boards/{name}/board.toml is damaged: it lacks clock."
        others = {other: board for other, board in boards.BOARDS.items() if other != name}
        monkeypatch.setattr(boards, "BOARDS", others)  # put back, it would be the last one
        monkeypatch.setitem(boards.DAMAGED, name, WorkshopError(sentence))
        return sentence

    return damage


def test_a_damaged_board_to_hold_is_a_note_and_the_emulator_still_works(damaged):
    sentence = damaged("pico")
    ok, found, advice = doctor._boards()
    assert not ok and found == sentence.rstrip(".") and advice.startswith("restore that file")
    ok, found, _ = doctor._firmware()
    assert ok and "the answer is right" in found


def test_a_damaged_emulated_board_comes_with_the_cure(monkeypatch, damaged):
    sentence = damaged("emulator")
    result = command(monkeypatch, ("Compiler, emulator", True, doctor._firmware))
    assert result.exit_code == 1 and sentence in result.output
    assert "-> restore that file" in result.output and "WorkshopError" not in result.output


def test_a_package_without_the_course(monkeypatch, tmp_path):
    for name in ("NOTEBOOKS_DIR", "FIRMWARE_DIR"):
        monkeypatch.setattr(paths, name, tmp_path / "none")
    checks = ("Packages", True, doctor._packages), ("Compiler", True, doctor._firmware)
    result = command(monkeypatch, *checks)
    assert result.output.count("are not beside its package") == 2
    assert "Error" not in result.output


def question(*printed, tags=("exercise",)):
    """A cell that answers, as it is saved."""
    outputs = [{"output_type": "stream", "text": text} for text in printed]
    return {"cell_type": "code", "source": "", "metadata": {"tags": list(tags)}, "outputs": outputs}


def test_what_is_answered_right_is_counted_in_the_saved_notebooks(monkeypatch, tmp_path):
    answers = [
        question("Right: so it is.\n"),
        question(["288 multiplications\n", "Right: ", "few.\n"]),
        question("288 multiplications\n", "Right: few.\n"),
        question("Not yet: Right: no.\n"),
        question("Your turn: replace None.\n"),
        question("Right: at first.\nNot yet: at last.\n"),
        question(),
        question("Right: no question.\n", tags=()),
    ]
    for name, cells in {"02_a": answers, "01_b": [question(tags=())], "03_c": answers[:1]}.items():
        content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(content))
    odd = {**content, "cells": [{**question(), "outputs": [3]}]}
    (tmp_path / "04_d.ipynb").write_text("<<<<<<<")
    (tmp_path / "05_e.ipynb").write_text(json.dumps(odd))
    monkeypatch.setattr(paths, "NOTEBOOKS_DIR", tmp_path)
    monkeypatch.setattr(doctor, "_CHECKS", [])
    found = doctor.examine()
    assert found["answers"] == [
        {"notebook": "02_a", "asked": 7, "right": 3},
        {"notebook": "03_c", "asked": 1, "right": 1},
    ]
    assert doctor.score(found) == "4 of 8 questions in the notebooks are answered right."
    assert CliRunner().invoke(main, ["doctor"]).stdout.rstrip().endswith(doctor.score(found))
    refused = CliRunner().invoke(main, ["doctor", "--json", "--no-answers"])
    assert json.loads(refused.stdout)["answers"] == []


def test_the_course_as_it_comes_asks_and_nothing_is_answered():
    rows = doctor._answers()
    assert {row["notebook"] for row in rows} == {
        path.stem for path in paths.notebooks() if path.name > "02"
    }
    assert all(row["asked"] >= 2 and row["right"] == 0 for row in rows), rows
    assert doctor.score({"answers": rows}) == ""
