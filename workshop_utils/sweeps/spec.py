"""What a sweep shall run: a file in YAML, checked, and turned into a list of runs.

    mode: grid                    # every combination; or random
    parameters:
      SEED: {min: 1, max: 5}      # whole numbers; with step: 2, every second one
      NEURONS: [4, 8, 16]         # these
      NOISE: 0.1                  # always this one

    mode: random                  # so many draws
    runs: 50
    seed: 1                       # of the draws; the same seed draws the same
    parameters:
      NOISE: {min: 0, max: 0.3}   # anything between; with scale: log, as often small as large
      NEURONS: [4, 8, 16]         # one of these

What is not named keeps the notebooks' own value.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from workshop_utils import convert, data, files, paths, training
from workshop_utils.errors import WorkshopError, require_int
from workshop_utils.running import notebooks
from workshop_utils.sweeps.limits import CONFIRM, MAX_RUNS
from workshop_utils.terminal import clipped, printable

# The parameters that a sweep can vary, and the notebook whose values they have if it does not. The
# options of `convert.to_int8` come on top, and `engine`, which of ENGINES runs the model.
PARAMETERS = {
    "02": ("SEED", "SAMPLES", "NOISE"),
    "04": ("EPOCHS", "BATCH_SIZE", "NEURONS", "LAYERS"),
    "05": ("REPRESENTATIVE",),
}
ENGINES = ("compact", "generated")  # the first one, if a sweep does not say

MOST_BYTES, MOST_DEPTH = 4 << 20, 20  # of a description
LONGEST_ERROR = 300  # characters

Values = dict[str, Any]  # of parameters, by name


class Plan(NamedTuple):
    """A sweep. runs: complete values of all parameters. varied: the names that differ."""

    runs: list[Values]
    varied: list[str]


def defaults() -> Values:
    """The parameters of a run and the values that they have in the notebooks."""
    every = notebooks.notebooks()
    values: Values = {}
    for number, names in PARAMETERS.items():
        own = notebooks.parameters(every[number])
        values |= {name: own[name] for name in names}
    return values | convert.options() | {"engine": ENGINES[0]}


def read(path: str | Path, confirmed: bool = False) -> Plan:
    """The Plan that a SPEC file describes.

    confirmed: whether more than CONFIRM runs are meant. Raises WorkshopError, which names the file,
    for one that cannot be read, and for names, types, values and numbers of runs that cannot work.
    """
    paths.require_course(paths.NOTEBOOKS_DIR)  # whose parameters a sweep may vary
    path = Path(path)
    with files.os_errors_as(f"Cannot read {path}"):
        if path.exists() and not path.is_file():
            raise WorkshopError(f"Cannot read {path}: it is not a file.")
        if path.stat().st_size > MOST_BYTES:
            raise WorkshopError(f"{path} is too large for the description of a sweep.")
        written = path.read_bytes()
    try:
        content = _loaded(written.decode("utf-8"))
        return plan(content, confirmed)
    except UnicodeDecodeError as error:
        raise WorkshopError(f"Cannot read {path}: it is not text.") from error
    except WorkshopError as error:
        said = clipped(printable(str(error)), LONGEST_ERROR)
        raise WorkshopError(f"{path.name}: {said}") from error
    except (ValueError, OverflowError) as error:
        # Dates and numbers that look like some and are none, and numbers that no computer writes.
        said = clipped(printable(str(error)), LONGEST_ERROR)
        raise WorkshopError(f"{path.name}: a value cannot be used: {said}.") from error


def _loaded(text: str) -> Any:
    """What YAML says, without what a description of a sweep has no need of: aliases, which grow
    beyond all bounds, and depth, at which libyaml breaks. Raises WorkshopError."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise WorkshopError(f"an alias such as *{event.anchor} has no place in a sweep.")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                where = f" in line {event.start_mark.line + 1}" if event.start_mark else ""
                raise WorkshopError(f"lists and mappings are more than {MOST_DEPTH} deep{where}.")
        return yaml.load(text, Loader=_once(loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "it cannot be understood"
        raise WorkshopError(f"it is not YAML{where}: {what}.") from error


def _once(loader: Any) -> Any:
    """YAML's loader, but one that raises WorkshopError for a name that is there twice."""

    class Loader(loader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                name = str(key.value)
                if name in seen:
                    line = key.start_mark.line + 1
                    raise WorkshopError(f"{name} is there twice, again in line {line}.")
                seen.add(name)
            return super().construct_mapping(node, deep)

    return Loader


def plan(content: Any, confirmed: bool = False) -> Plan:
    """The Plan that the content of a SPEC describes, a dict. Raises WorkshopError like `read`."""
    if not isinstance(content, dict):
        raise WorkshopError("a sweep is described by `mode` and `parameters`; see --help.")
    _known(content, ("mode", "parameters", "runs", "seed"), "key")
    mode, axes = content.get("mode"), content.get("parameters")
    if mode not in ("grid", "random"):
        raise WorkshopError(f"mode must be grid or random, not {mode!r}.")
    if not isinstance(axes, dict) or not axes:
        raise WorkshopError("parameters must name at least one parameter and its values.")
    known = defaults()
    _known(axes, known, "parameter")
    if mode == "grid":
        runs = _grid(content, axes, known, confirmed)
    else:
        runs = _random(content, axes, known, confirmed)
    varied = [name for name in known if len({run[name] for run in runs}) > 1]
    return Plan(runs, varied)


def _known(given: Iterable[Any], known: Iterable[str], kind: str) -> None:
    for name in given:
        if name not in known:
            close = get_close_matches(str(name).upper(), [one.upper() for one in known], n=1)
            hint = next((one for one in known if [one.upper()] == close), None)
            more = f"did you mean {hint}?" if hint else f"there are: {', '.join(known)}."
            raise WorkshopError(f"there is no {kind} {name}; {more}")


# ---- Grid and random search


def _grid(content: Values, axes: Values, known: Values, confirmed: bool) -> list[Values]:
    for name in ("runs", "seed"):
        if name in content:
            raise WorkshopError(f"{name} belongs to mode: random; a grid runs every combination.")
    values = {name: _listed(known, name, entry) for name, entry in axes.items()}
    _check_number(math.prod(len(some) for some in values.values()), confirmed)
    for name, some in values.items():
        for value in some:
            check(known | {name: value})
    every = itertools.product(*values.values())
    return [known | dict(zip(values, combination, strict=True)) for combination in every]


def _random(content: Values, axes: Values, known: Values, confirmed: bool) -> list[Values]:
    require_int("runs", content.get("runs"), 1, MAX_RUNS)
    _check_number(content["runs"], confirmed)
    data.check_seed(content.get("seed", 1))
    rng = random.Random(content.get("seed", 1))
    draws = {name: _drawn(known, name, entry) for name, entry in axes.items()}
    runs: dict[tuple[Any, ...], Values] = {}
    for _ in range(20 * content["runs"]):
        drawn = {name: draw(rng) for name, draw in draws.items()}
        runs.setdefault(tuple(drawn.values()), known | drawn)
        if len(runs) == content["runs"]:
            return list(runs.values())
    raise WorkshopError(
        f"runs is {content['runs']}, but only {len(runs)} different ones were found; "
        "allow more values, or take mode: grid."
    )


def _check_number(count: int, confirmed: bool) -> None:
    if count > MAX_RUNS:
        possible = f"more than the {MAX_RUNS:,} that are possible"
        raise WorkshopError(f"these are {count:,} runs, {possible}.")
    if count > CONFIRM and not confirmed:
        raise WorkshopError(f"these are {count:,} runs, more than {CONFIRM}; say --yes to do them.")


# ---- The values of one parameter


def _listed(known: Values, name: str, entry: Any) -> list[Any]:
    """The values of a grid: a sequence without repetition."""
    if isinstance(entry, dict):
        low, high, step = _range(known, name, entry, "step")
        if step is None and isinstance(known[name], float):
            raise WorkshopError(f"{name} needs a step between min and max, in a grid.")
        step = step or 1
        steps = (high - low) / step + 1e-9  # may be infinite
        if steps >= MAX_RUNS:
            many = f"{steps + 1:,.0f}" if steps < 1e12 else "endlessly many"
            raise WorkshopError(f"{name} has {many} values, more than {MAX_RUNS:,}.")
        count = math.floor(steps) + 1
        return [_rounded(low + number * step) for number in range(count)]
    return _choices(known, name, entry)


def _drawn(known: Values, name: str, entry: Any) -> Callable[[random.Random], Any]:
    """A function that draws one value with a random.Random."""
    if not isinstance(entry, dict):
        choices = _choices(known, name, entry)
        for value in choices:
            check(known | {name: value})
        return lambda rng: rng.choice(choices)
    low, high, scale = _range(known, name, entry, "scale")
    if scale not in (None, "linear", "log"):
        raise WorkshopError(f"{name}: scale must be linear or log, not {scale!r}.")
    if scale == "log" and low <= 0:
        raise WorkshopError(f"{name}: a scale of log needs a min above 0.")
    whole = isinstance(known[name], int)
    if scale == "log":
        top = math.log(high + 1 if whole else high)

        def draw(rng: random.Random) -> Any:
            value = math.exp(rng.uniform(math.log(low), top))
            return min(int(value), high) if whole else min(max(_rounded(value), low), high)

        return draw
    if whole:
        return lambda rng: rng.randint(low, high)
    return lambda rng: min(max(_rounded(rng.uniform(low, high)), low), high)


def _choices(known: Values, name: str, entry: Any) -> list[Any]:
    values = [
        _typed(name, one, known[name]) for one in (entry if isinstance(entry, list) else [entry])
    ]
    if not values:
        raise WorkshopError(f"{name} has an empty list of values.")
    seen = set()
    for value in values:
        if value in seen:
            raise WorkshopError(f"{name} has the value {value} twice.")
        seen.add(value)
    return values


def _range(known: Values, name: str, entry: Values, extra: str) -> tuple[Any, Any, Any]:
    """min, max and the one extra of a range, checked; None where it is not given."""
    if isinstance(known[name], (bool, str)):
        what = "true or false" if isinstance(known[name], bool) else "a word"
        raise WorkshopError(f"{name} is {what}, so give it a list, not a range.")
    _known(entry, ("min", "max", extra), f"key of {name}")
    if "min" not in entry or "max" not in entry:
        raise WorkshopError(f"{name} needs both min and max.")
    low, high = (_typed(f"{name}: {end}", entry[end], known[name]) for end in ("min", "max"))
    for value in (low, high):
        check(known | {name: value})
    if low > high:
        raise WorkshopError(f"{name}: min is {low}, above max, which is {high}.")
    more = entry.get(extra)
    if extra == "step" and more is not None:
        more = _typed(f"{name}: step", more, known[name])
        if not more > 0:
            raise WorkshopError(f"{name}: step must be above 0, not {more}.")
    return low, high, more


def _typed(name: str, value: Any, default: Any) -> Any:
    """The value in the type of the default. YAML takes 1e-3 for text, which is read as a number."""
    return notebooks.typed(name, value, default, bools="true or false")


def _rounded(value: Any) -> Any:
    """Six significant digits: 0.1 + 2 * 0.1 is 0.3, and a drawn value is one to write down."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def check(values: Values) -> None:
    """Raise WorkshopError, as the notebooks would, unless a run can have these parameters."""
    data.check_parameters(values["SAMPLES"], values["NOISE"], values["SEED"])
    training.check_parameters(
        values["EPOCHS"],
        values["BATCH_SIZE"],
        values["SEED"],
        values["NEURONS"],
        values["LAYERS"],
    )
    convert.check_parameters(values["REPRESENTATIVE"])
    if values["engine"] not in ENGINES:
        raise WorkshopError(f"engine must be {' or '.join(ENGINES)}, not {values['engine']!r}.")
