"""A sweep's table as answers: the smallest model that is good, and a report of pictures."""

from pathlib import Path

from workshop_utils import files, paths
from workshop_utils.errors import MissingArtifact, WorkshopError
from workshop_utils.running import course, page
from workshop_utils.sweeps import execute, run, spec

NOTEBOOK, PAGE = "report.ipynb", "report.html"


def table(source):
    """The runs that ended well: a pandas DataFrame, a row each.

    source: the folder of a sweep, or a CSV file that was its table. Raises MissingArtifact if it is
    not there, WorkshopError if no run ended well or the file is something else.
    """
    import pandas as pd

    path = Path(source) / execute.TABLE if Path(source).is_dir() else Path(source)
    if not path.is_file():
        raise MissingArtifact(f"There is no table of a sweep at {path}.")
    try:
        rows = pd.read_csv(path)
        rows = rows[rows["status"] == "ok"].reset_index(drop=True)
        rows = rows.astype({"good": bool, "NEURONS": int, "LAYERS": int, "SEED": int, "flash": int})
        missing = {*spec.defaults(), *run.METRICS} - set(rows.columns)
    except (ValueError, KeyError) as error:
        raise WorkshopError(f"{path} is not the table of a sweep.") from error
    if missing:
        raise WorkshopError(f"{path} is not the table of a sweep: it lacks {min(missing)}.")
    if rows.empty:
        raise WorkshopError(f"No run of {path} ended well, so there is nothing to show.")
    return rows


def names(rows):
    """The parameters that make a configuration: all but the seed."""
    return [name for name in spec.defaults() if name != "SEED"]


def varied(rows):
    """The parameters that differ from row to row."""
    known = (name for name in spec.defaults() if name in rows)
    return [name for name in known if rows[name].nunique() > 1]


def configurations(rows):
    """A row for each configuration: how many runs, how many are good, and what is usual for them.

    Errors and instructions are medians over the seeds, memory is the largest: all have to fit.
    """
    groups = rows.groupby(names(rows))
    kinds = {name: (name, "median") for name in ("test_error", "sine_error", "instructions")}
    kinds |= {name: (name, "max") for name in ("flash", "ram", "model_bytes")}
    table = groups.agg(runs=("run", "size"), good=("good", "sum"), **kinds).reset_index()
    return table.astype({"instructions": int})


def smallest(rows):
    """The smallest configuration, by flash, whose every run draws a good sine; None if none does.

    Of equally small ones it is the most accurate. Returns a row of `configurations`.
    """
    groups = configurations(rows)
    reliable = groups[groups["good"] == groups["runs"]].sort_values(["flash", "sine_error"])
    return None if reliable.empty else reliable.iloc[0]


def describe(row, rows):
    """A configuration in words: what of it differs in this sweep, and what it costs."""
    what = ", ".join(f"{name} {row[name]}" for name in varied(rows) if name != "SEED")
    return (
        f"{what or 'the only configuration'}: {row['flash']:,} bytes of flash, {row['ram']:,} of "
        f"RAM, {row['instructions']:,} instructions, error to the sine {row['sine_error']:.4f}"
    )


def run_of(rows, row):
    """The number of the run of a configuration whose error is nearest to its median."""
    same = rows[(rows[names(rows)] == row[names(rows)]).all(axis=1)]
    return int(same.loc[(same["sine_error"] - row["sine_error"]).abs().idxmin(), "run"])


def model(folder, number):
    """The int8 model (bytes) that a run made. Raises MissingArtifact if it is not there."""
    home = Path(folder) / execute.RUNS / f"{number:04}"
    path = paths.under(home, paths.MODEL_TFLITE)
    if not path.is_file():
        raise MissingArtifact(f"{path} is missing: the sweep's folder is not complete.")
    return path.read_bytes()


# ---- The report


def make(folder):
    """Write the report of the sweep in `folder`, executed. Returns the paths (notebook, page).

    Raises MissingArtifact if there is no sweep, WorkshopError if no run ended well.
    """
    from workshop_utils.running.kernel import Kernel, import_nbformat

    nbformat = import_nbformat()
    folder = Path(folder).resolve()
    _, every = execute.read(folder)
    cells = _cells(table(folder), sum(row["status"] != "ok" for row in every))
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}},
    )
    path = files.write(folder / NOTEBOOK, nbformat.writes(notebook) + "\n")
    kernel = Kernel(path)
    try:
        failure = course.execute(path, path, {}, kernel)
    finally:
        kernel.stop()
    if failure:
        raise WorkshopError(f"The report was not made: {failure}")
    return path, page.render([path], folder / PAGE, title="A sweep")


def _cells(rows, failed):
    """The report's cells; those about a parameter only where it differs from run to run."""
    from nbformat.v4 import new_code_cell, new_markdown_cell

    cells = []

    def section(text, *sources):
        cells.append(new_markdown_cell(text))
        cells.extend(new_code_cell(source) for source in sources)

    section(
        "# What this sweep found\n\nEach run of the sweep made a dataset, trained notebook 4's "
        "network, converted it as notebook 5 does, compiled it into firmware and ran that on the "
        "emulated chip. A *configuration* is a choice of all parameters but the seed.",
        "import numpy as np\n\nfrom workshop_utils import inference, plots\n"
        "from workshop_utils.sweeps import plots as sweep_plots\n"
        "from workshop_utils.sweeps import report as sweep_report\n\n"
        'rows = sweep_report.table(".")\n'
        "groups = sweep_report.configurations(rows)\n"
        'print(f"{len(rows)} runs of {len(groups)} configurations")\n'
        'print("What differs:", ", ".join(sweep_report.varied(rows)) or "nothing")\n'
        "print(f\"{rows['good'].sum()} draw a good sine\")\n"
        "equal = (rows['equal'] == 256).sum()\n"
        'print(f"{equal} chips gave all 256 answers as the desktop runtime did")',
    )
    if failed:
        section(
            f"{failed} runs failed, and are left out:",
            "import pandas as pd\n\nevery = pd.read_csv('results.csv')\n"
            "every.loc[every['status'] != 'ok', ['run', 'attempts', 'error']]",
        )
    section(
        "## What do memory and time buy?\n\nThe error here is the distance from the sine itself, "
        "so that noise, which nobody can predict, does not hide what the network does. A diamond "
        "is a configuration that no other beats: whatever is smaller is worse. The number is its "
        "neurons in each hidden layer, after that of its hidden layers where that differs.",
        'sweep_plots.plot_front(rows, groups, "flash");',
        'sweep_plots.plot_front(rows, groups, "instructions");',
        "front = groups[sweep_plots.pareto_front(groups['flash'], groups['sine_error'])]\n"
        "front.sort_values('flash')[[*sweep_report.varied(groups), 'runs', 'good', 'sine_error', "
        "'flash', 'ram', 'instructions']]",
    )
    different = varied(rows)
    for name, question in {"NEURONS": "wide", "LAYERS": "deep"}.items():
        if name in different:
            section(
                f"## How {question} must it be?\n\nA run *draws a sine* if its test error is "
                "within 0.01 of that of the sine itself.",
                f'sweep_plots.plot_by_shape(rows, "{name}");',
            )
    if "SEED" in different:
        section(
            "## How much is luck?\n\nThe same configuration with another seed has other samples "
            "and other first weights. 1 is the configuration's median.",
            "sweep_plots.plot_by_seed(rows);",
        )
    if "NOISE" in different:
        section(
            "## What does noise do?\n\nThe test error holds the noise of the answers; on average "
            "no network can be better than its square. A run below the line has a test set that "
            "happens to hold less noise.",
            "sweep_plots.plot_by_noise(rows);",
        )
    section(
        "## The smallest that still draws a good sine\n\nThe smallest configuration of which "
        "*every* seed's run is good; one lucky run is no recommendation. With few seeds the "
        "smallest of many may be a lucky one, too: try it with fresh seeds before you trust it.",
        "best = sweep_report.smallest(rows)\n"
        'print("None is." if best is None else sweep_report.describe(best, rows))',
    )
    if smallest(rows) is not None:
        section(
            "Its wave, from the run whose error is the median:",
            'content = sweep_report.model(".", sweep_report.run_of(rows, best))\n'
            "x = np.linspace(0, 2 * np.pi, 256, dtype=np.float32)\n"
            'y = inference.predict(content, x)\nplots.plot_predictions(x, None, {"int8": y}, '
            '"The smallest good model");',
        )
    for number, cell in enumerate(cells):
        cell["id"] = f"report-{number:02}"
    return cells
