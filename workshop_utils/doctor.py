"""Is this machine ready for the course? Shown in notebook 01 and by `workshop doctor`.

Nothing here imports TensorFlow, unless asked to. What can be tried out is tried out: a kernel is
started, and a small program is compiled for the chip and run on the emulator.

`examine` returns one JSON object, which `workshop doctor --json` prints for the instructor:

    schema    1; it grows when a name below changes its meaning
    kind      "doctor"
    started   date and time, UTC, as in 2026-03-01T14:05:09Z
    ready     true if the course can run: every check that is required is ok
    machine   what `machine.describe` returns
    versions  {package: version or null}, the packages that pyproject.toml names
    checks    a list of
        name      such as "Jupyter kernel"
        ok        true or false
        required  true if the course cannot run without
        found     what is here, a phrase
        advice    what to do, a command where there is one; null if nothing
        seconds   how long the check took
    packages  a list of {name, wanted, found} of those that are missing or have another version
    done      the notebooks whose artifacts are all there, a list such as ["02_dataset"]
    answers   a list of {notebook, asked, right}: how many questions a notebook asks, and how many
              are answered right in it as it was saved; empty if that is not to be told
    seconds   how long it all took
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop_utils import files, machine, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.terminal import printable

if TYPE_CHECKING:
    import pandas as pd

PYTHONS = ((3, 10), (3, 13))  # the oldest and the newest; pyproject.toml says the same
DISK_BYTES = 300_000_000  # models, executed notebooks, and the firmware with the compiler's cache
MEMORY_BYTES = 1_500_000_000  # a kernel with TensorFlow takes 0.7 GB; JupyterLab and a browser
KERNEL = "python3"

_KERNEL_TIMEOUT = 60  # seconds
_BUILD_TIMEOUT = 120

# Ten lines for a Cortex-M4, which compute something that can be checked: a generator of random
# numbers by D. E. Knuth and H. W. Lewis (W. H. Press and others, Numerical Recipes in C, 7.1).
_PROGRAM = """\
extern "C" [[noreturn]] void Reset() {
  volatile unsigned* const uart = reinterpret_cast<volatile unsigned*>(0x40004000);
  unsigned value = SEED;
  for (int step = 0; step < 1000; ++step) value = value * 1664525u + 1013904223u;
  uart[2] = 1;
  for (int shift = 28; shift >= 0; shift -= 4) uart[0] = "0123456789abcdef"[value >> shift & 15];
  for (const char* text = "\\n# end\\n"; *text != '\\0'; ++text) uart[0] = *text;
  for (;;) {}
}
[[gnu::section(".vectors"), gnu::used]] const void* const kVectors[] = {
    reinterpret_cast<const void*>(0x20001000), reinterpret_cast<const void*>(Reset)};
"""
_LINKER_SCRIPT = """\
ENTRY(Reset)
SECTIONS { .text 0 : { KEEP(*(.vectors)) *(.text* .rodata*) } /DISCARD/ : { *(.ARM.*) } }
"""
# What this program needs beside the flags that the firmware's toolchain file has for the core.
_FLAGS = ["-std=c++17", "-O2", "-nostdlib", "-fno-exceptions", "-fno-rtti"]

_RESTORE = "restore that file, such as from a fresh copy of the project"

OK, NOTE, FIX = "ok", "note", "FIX"  # the marks of checks: good, can stay so, cannot stay so

Found = tuple[bool, str, str | None]  # ok, what was found, advice
_Check = tuple[str, bool, Callable[[], Found | None]]  # name, required, function


def examine(
    deep: bool = False,
    say: Callable[[dict[str, Any]], None] | None = None,
    answers: bool = True,
) -> dict[str, Any]:
    """Look at everything. Returns the object that the head of this module describes.

    deep: also import TensorFlow, in a process of its own, which takes some seconds. say: called
    with each check of the list `checks`, in order, as soon as it is done. answers: also look what
    the attendee has answered.
    """
    started, begun = time.monotonic(), datetime.now(timezone.utc)
    checks = [*_CHECKS, _DEEP_CHECK] if deep else _CHECKS
    with ThreadPoolExecutor(4) as pool:  # the kernel starts while the compiler works
        looked = []
        for found in filter(None, pool.map(_look, checks)):
            looked.append(found)
            if say:
                say(found)
    return {
        "schema": 1,
        "kind": "doctor",
        "started": begun.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ready": all(check["ok"] for check in looked if check["required"]),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "checks": looked,
        "packages": _deviations(),
        "done": _done(),
        "answers": _answers() if answers else [],
        "seconds": round(time.monotonic() - started, 2),
    }


def check_parameters(deep: Any) -> None:
    """Raise WorkshopError, naming DEEP, unless `examine` can work with it."""
    if not isinstance(deep, bool):
        raise WorkshopError(f"DEEP is {deep!r}, but must be True or False.")


def table(found: Mapping[str, Any] | None = None) -> "pd.DataFrame":
    """The checks as a pandas DataFrame for a notebook: a row per check, advice where there is any.

    found: what `examine` returned; None looks now.
    """
    import pandas as pd

    class Whole(pd.DataFrame):
        """pandas would cut a command off after 50 characters."""

        def _repr_html_(self) -> str | None:
            with pd.option_context("display.max_colwidth", None):
                html: str | None = super()._repr_html_()  # type: ignore[misc]
                return html

        def __repr__(self) -> str:
            with pd.option_context("display.max_colwidth", None, "display.width", None):
                return str(self.to_string())

    rows = [
        {
            "Check": check["name"],
            "": mark(check),
            "Found": check["found"],
            "What to do": "" if check["ok"] else check["advice"],
        }
        for check in (found or examine())["checks"]
    ]
    return Whole(pd.DataFrame(rows).set_index("Check"))


def text(check: Mapping[str, Any], paint: Callable[[str], str] = str) -> str:
    """A check for a terminal: a line, and one more for the advice if it is needed.

    paint: called with a mark, padded to four characters, and returns it, coloured or not.
    """
    check = printable(check)
    width = max(len(name) for name, *_ in _CHECKS)
    line = f"{paint(f'{mark(check):<4}')}  {check['name']:<{width}}  {check['found']}"
    if check["advice"] and not check["ok"]:
        line += f"\n{'':<4}  {'':<{width}}  -> {check['advice']}"
    return line


def verdict(found: Mapping[str, Any]) -> str:
    """What `examine` returned, in one sentence."""
    if found["ready"]:
        return "This machine is ready for the course."
    return f"Not ready yet: fix what is marked {FIX}, then look again."


def score(found: Mapping[str, Any]) -> str:
    """How many questions are answered right, in one sentence; empty while none is."""
    right, asked = (sum(row[name] for row in found["answers"]) for name in ("right", "asked"))
    return f"{right} of {asked} questions in the notebooks are answered right." if right else ""


def mark(check: Mapping[str, Any]) -> str:
    """OK, FIX if the course cannot run like this, NOTE if it can."""
    if check["ok"]:
        return OK
    return FIX if check["required"] else NOTE


def _done() -> list[str]:
    makers = sorted(set(paths.MADE_BY.values()))
    unmade = {by for path, by in paths.MADE_BY.items() if not path.is_file()}
    return [name for name in makers if name not in unmade]


def _answers() -> list[dict[str, Any]]:
    rows = []
    with suppress(ImportError, WorkshopError):  # which the checks report
        from workshop_utils import exercises

        for path in paths.notebooks():
            # A cell of a notebook that was edited by hand may be anything.
            with suppress(WorkshopError, LookupError, TypeError, AttributeError):
                right, asked = exercises.answered(files.read_notebook(path)["cells"])
                rows.append({"notebook": path.stem, "asked": asked, "right": right})
    return [row for row in rows if row["asked"]]


def _look(check: _Check) -> dict[str, Any] | None:
    """One check, as an object of the list `checks`; None if it has nothing to say here."""
    name, required, function = check
    started = time.monotonic()
    try:
        result = function()
    except WorkshopError as error:
        result = False, str(error), _repair()
    except Exception as error:  # The doctor must not die of what it is there to find.
        first = (str(error).splitlines() or [""])[0]
        result = False, f"{type(error).__name__}: {first}", _repair()
    if result is None:
        return None
    ok, found, advice = result
    return {
        "name": name,
        "ok": ok,
        "required": required,
        "found": found,
        "advice": advice,
        "seconds": round(time.monotonic() - started, 2),
    }


# ---- The checks. Each returns (ok, what was found, advice or None), or None if it does not apply.


def _python() -> Found:
    bits = 64 if sys.maxsize > 2**32 else 32
    found = f"{sys.version.split()[0]}, {bits} bits"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1] and bits == 64:
        return True, found, None
    oldest, newest = (".".join(map(str, version)) for version in PYTHONS)
    fitting = f"install a 64-bit Python {oldest} to {newest}, then: "
    return False, found, f"{fitting}PYTHON=/path/to/python{newest} ./install.sh"


def _packages() -> Found:
    """Missing ones; another version is the next check."""
    paths.require_course(paths.NOTEBOOKS_DIR)
    pins = machine.pins()
    missing = [name for name in pins if machine.installed(name) is None and name != _TFLM]
    if missing:
        return False, f"{len(missing)} missing: {_some(missing)}", _repair()
    return True, f"all {len(pins)} of pyproject.toml", None


def _versions() -> Found:
    others = [row for row in _deviations() if row["found"]]
    if others:
        rows = [f"{row['name']} {row['found']}, not {row['wanted']}" for row in others]
        return False, f"{len(others)} differ: {_some(rows)}", _repair()
    return True, "as in requirements.lock", None


def _deviations() -> list[dict[str, str | None]]:
    """[{name, wanted, found}] of the packages that are missing or have another version.

    Where set-up was ./install.sh, all of the lock counts; in a conda environment, what pyproject
    names, since what those need is conda's choice.
    """
    try:
        wanted = machine.locked() if _set_up_by_install() else machine.pins()
    except (OSError, ImportError):
        return []
    rows = [(name, version, machine.installed(name)) for name, version in wanted.items()]
    return [
        {"name": name, "wanted": version, "found": found}
        for name, version, found in rows
        if found != version
    ]


def _some(items: Sequence[str], most: int = 3) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def _disk() -> Found:
    """Space, and whether files can be written at all."""
    home = paths.home().path
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    found = f"{free / 1e9:.1f} GB free, the course takes {DISK_BYTES / 1e9:.1f} GB"
    if free < DISK_BYTES:
        return False, found, f"make room on the disk that {place} is on"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x" * 4096)
    except OSError as error:
        advice = "copy the project to a folder of your own, or set WORKSHOP_HOME to such a folder"
        return False, f"{place} cannot be written to: {error.strerror}", advice
    return True, found, None


def _memory() -> Found:
    total, available = machine.memory()
    if total is None or available is None:
        return False, "unknown, because psutil is missing", _repair()
    found = f"{available / 1e9:.1f} of {total / 1e9:.1f} GB available"
    if available >= MEMORY_BYTES:
        return True, found, None
    return False, found, f"close other programs: {MEMORY_BYTES / 1e9:.1f} GB should be available"


def _kernel() -> Found:
    """Start the kernel that the notebooks name and let it add two numbers."""
    from jupyter_client.kernelspec import NoSuchKernel
    from jupyter_client.manager import KernelManager

    register = f"{_program('python')} -m ipykernel install --sys-prefix"
    started = time.monotonic()
    manager = KernelManager(kernel_name=KERNEL)
    with tempfile.TemporaryFile() as said:
        client = None
        try:
            # Its complaints are kept, and its farewell too.
            manager.start_kernel(
                extra_arguments=["--IPKernelApp.log_level=40"], stdout=said, stderr=said
            )
            client = manager.blocking_client()
            client.start_channels()
            client.wait_for_ready(timeout=_KERNEL_TIMEOUT)
            printed: list[str] = []
            client.execute_interactive(
                "import sys; print(1 + 1, sys.prefix)",
                store_history=False,
                timeout=_KERNEL_TIMEOUT,
                output_hook=lambda message: printed.append(message["content"].get("text", "")),
            )
        except NoSuchKernel:
            return False, f"Jupyter knows no kernel {KERNEL}", register
        except (RuntimeError, TimeoutError, OSError) as error:
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            why = next((line for line in reversed(lines) if line.strip()), str(error))
            return False, f"{KERNEL} does not start: {why.strip()}", register
        finally:
            if client:
                client.stop_channels()
            if manager.has_kernel:
                manager.shutdown_kernel(now=True)
    answer, _, prefix = "".join(printed).strip().partition(" ")
    if answer != "2":
        return False, f"{KERNEL} started but did not answer", register
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        remove = f"{_program('jupyter')} kernelspec remove -f {KERNEL}"
        return False, f"{KERNEL} belongs to another Python, {prefix}", f"{remove}, then {register}"
    return True, f"{KERNEL} answered after {time.monotonic() - started:.1f} s", None


def _notebooks() -> Found:
    """Can they be read, and so run? An editor or a merge may have spoiled one."""
    problems: list[str] = []
    cures: dict[str, None] = {}
    for path in paths.notebooks():
        try:
            files.read_notebook(path)
        except WorkshopError as error:
            problem, _, cure = str(error).rstrip(".").partition("; ")
            problems.append(problem)
            cures[cure] = None
    if problems:
        return False, _some(problems), "; ".join(cures)
    return True, "all of them can be read", None


def _saved_with() -> Found | None:
    """Another kernel does no harm to `workshop run`, but JupyterLab is going to ask."""
    named = {}
    for path in paths.notebooks():
        with suppress(WorkshopError):  # which the check before this one reports
            spec = files.read_notebook(path)["metadata"].get("kernelspec")
            named[path.name] = spec.get("name") if isinstance(spec, dict) else None
    others = [f"{name} with {kernel}" for name, kernel in named.items() if kernel != KERNEL]
    if not others:
        return None
    advice = f"in JupyterLab, click the kernel's name at the top right and choose {KERNEL}"
    return False, f"saved for another kernel: {_some(others)}", advice


def _firmware() -> Found:
    """Compile ten lines for the chip, run them on the emulator and check what they print."""
    from workshop_utils import emulator
    from workshop_utils.device import boards, compiling, console

    tools = compiling.programs("zig")
    paths.require_course(paths.FIRMWARE_DIR)
    try:
        boards.find("emulator")
        flags = [*compiling.zig_flags("cortex-m4"), *_FLAGS]
    except WorkshopError as error:
        return False, str(error), _RESTORE
    seed = random.randrange(2**32)  # a number nobody knows, so that nothing old can answer
    with tempfile.TemporaryDirectory(prefix="workshop-") as name:
        folder = Path(name)
        (folder / "ten_lines.cc").write_text(_PROGRAM, encoding="utf-8")
        (folder / "ten_lines.ld").write_text(_LINKER_SCRIPT, encoding="utf-8")
        files = ["-Wl,-T,ten_lines.ld", "ten_lines.cc", "-o", "ten_lines.elf"]
        cache = {"ZIG_GLOBAL_CACHE_DIR": name, "ZIG_LOCAL_CACHE_DIR": name}
        started = time.monotonic()
        built = subprocess.run(
            [str(tools["zig"]), "c++", *flags, f"-DSEED={seed}u", *files],
            cwd=folder,
            env={**os.environ, **cache, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_BUILD_TIMEOUT,
        )
        seconds = time.monotonic() - started
        if built.returncode:
            lines = built.stdout.decode(errors="replace").splitlines()
            why = next((line for line in lines if "error" in line.lower()), "".join(lines[-1:]))
            return False, f"the compiler failed: {why.strip()}", _repair("ziglang")
        try:
            printed = emulator.run(folder / "ten_lines.elf", count=False).console
        except WorkshopError as error:
            return False, str(error), _repair("unicorn", "pyelftools")
    expected = seed
    for _ in range(1000):
        expected = (expected * 1664525 + 1013904223) % 2**32
    if printed != f"{expected:08x}\n{console.END}\n":
        return False, f"the emulator computes wrongly: {printed[:20]!r}", _repair("unicorn")
    return (
        True,
        f"ten lines built for a Cortex-M4 in {seconds:.1f} s, and the answer is right",
        None,
    )


def _build_tools() -> Found:
    """CMake and Ninja answer, too."""

    from workshop_utils.device import compiling

    tools = compiling.programs("zig")
    found = []
    for name in ("cmake", "ninja"):
        version = _version(tools[name])
        if version is None:
            return False, f"{name} does not start", _repair(name)
        found.append(f"{name} {version}")
    return True, ", ".join(found), None


_TFLM = "tflite-micro"


def _tflm() -> Found:
    if _TFLM not in machine.pins():
        return True, "no package for this machine; notebooks 5 and 6 go on without", None
    from workshop_utils import inference

    if inference.tflm_problem():
        return False, "its Python package does not start", _repair(_TFLM)
    return True, f"{_TFLM} {machine.installed(_TFLM)}", None


def _arm_gcc() -> Found:
    version = _version("arm-none-eabi-g++")
    if version:
        return True, f"arm-none-eabi-g++ {version}", None
    advice = {
        "linux": "sudo apt install gcc-arm-none-eabi libnewlib-arm-none-eabi",
        "darwin": "brew install --cask gcc-arm-embedded",
        "win32": "winget install Arm.GnuArmEmbeddedToolchain",
    }
    return False, "not here, and not needed: zig compiles", _for_this_system(advice)


def _qemu() -> Found:
    version = _version("qemu-system-arm")
    if version:
        return True, f"qemu-system-arm {version}", None
    advice = {
        "linux": "sudo apt install qemu-system-arm",
        "darwin": "brew install qemu",
        "win32": "winget install SoftwareFreedomConservancy.QEMU",
    }
    return False, "not here, and not needed: Unicorn emulates", _for_this_system(advice)


def _boards() -> Found | None:
    """Descriptions that are damaged; serial ports, if there is a package that lists them."""
    from workshop_utils.device import boards

    if boards.DAMAGED:
        return False, _some([str(error).rstrip(".") for error in boards.DAMAGED.values()]), _RESTORE
    try:
        from serial.tools import list_ports
    except ImportError:
        return None
    ports = [port for port in list_ports.comports() if port.vid is not None]  # those on USB
    if not ports:
        return False, "none connected, and none needed", "connect one by USB if you have it"
    names = _some([f"{port.device} ({port.description})" for port in ports])
    closed = [port.device for port in ports if not _usable(port.device)]
    if closed:
        advice = "sudo usermod -aG dialout $USER, then log out and in again"
        return False, f"{names}; no permission for {_some(closed)}", advice
    return True, names, None


def _usable(device: str) -> bool:
    return os.name == "nt" or os.access(device, os.R_OK | os.W_OK)


def _tensorflow() -> Found:
    """In a process of its own: on a processor that is too old it does not raise, it dies."""
    code = "import tensorflow as tf; print(float(tf.reduce_sum(tf.ones((2, 3)))), tf.__version__)"
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    seconds = time.monotonic() - started
    if result.returncode == 0 and result.stdout.startswith("6.0 "):
        return True, f"{result.stdout.split()[1]}, imported in {seconds:.1f} s", None
    if result.returncode < 0:
        advice = "take another computer or a hosted notebook; TensorFlow needs AVX"
        return False, f"it dies with signal {-result.returncode}: the processor is too old", advice
    why = (result.stderr.strip().splitlines() or ["it printed nothing"])[-1]
    return False, why, _repair("tensorflow")


_CHECKS: list[_Check] = [
    ("Python", True, _python),
    ("Packages", True, _packages),
    ("Versions", False, _versions),
    ("Jupyter kernel", True, _kernel),
    ("Notebooks", True, _notebooks),
    ("Notebooks' kernel", False, _saved_with),
    ("Disk", True, _disk),
    ("Memory", False, _memory),
    ("Compiler, emulator", True, _firmware),
    ("Build tools", True, _build_tools),
    ("TFLM", False, _tflm),
    ("Arm GCC", False, _arm_gcc),
    ("QEMU", False, _qemu),
    ("Boards", False, _boards),
]
_DEEP_CHECK: _Check = ("TensorFlow starts", True, _tensorflow)


# ---- What to say


def _set_up_by_install() -> bool:
    return (Path(sys.prefix) / ".workshop-set-up").is_file()


def _repair(*damaged: str) -> str:
    """The command that puts the packages right; ./install.sh would see no change, and do nothing.

    damaged: names of packages that are there in the right version and yet do not work.
    """
    if _set_up_by_install():
        again = "".join(f" --reinstall-package {name}" for name in damaged)
        python = _program("python")
        lock = "--require-hashes -r requirements.lock"
        return f"{_program('uv')} pip install --python {python}{again} {lock}"
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return "conda env update -f environment.yml"
    return "./install.sh"


def _program(name: str) -> str:
    """A program of this environment, as to be typed in the project's folder."""
    program = Path(sys.prefix) / ("Scripts" if os.name == "nt" else "bin") / name
    if program.is_relative_to(paths.PROJECT):
        return program.relative_to(paths.PROJECT).as_posix()
    return program.as_posix()


def _for_this_system(advice: Mapping[str, str]) -> str:
    return advice.get(sys.platform, advice["linux"])


def _version(program: str | Path) -> str | None:
    """The first number with a point that `program --version` prints; None if it does not work."""
    found = shutil.which(str(program))
    if not found:
        return None
    try:
        result = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"(?<![(\w.])\d+(\.\d+)+", result.stdout)
    return number[0] if number and result.returncode == 0 else None
