"""What a sweep's table says, and the notebook and page that are made of it."""

import csv
import json
import shutil

import nbformat
import pytest
from click.testing import CliRunner
from record_factory import HOSTILE, harmful, moves_the_cursor

from workshop_utils import files, paths
from workshop_utils.cli import main
from workshop_utils.errors import MissingArtifact, WorkshopError
from workshop_utils.sweeps import execute, report, spec

SHIPPED = paths.NOTEBOOKS_DIR / "data" / "how_small.csv"


def read_rows():
    with SHIPPED.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_sweep(folder, rows, plan=None):
    """A sweep as `execute` leaves it, with the reference model in place of each run's own."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / execute.TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    (folder / execute.PLAN).write_text(json.dumps(plan or {"runs": [{}], "varied": []}))
    model = (paths.REFERENCE_DIR / "model.tflite").read_bytes()
    for row in rows:
        files.write(folder / "runs" / f"{int(row['run']):04}" / "models" / "model.tflite", model)
    return folder


def sections(topics):
    cells = json.loads(report._notebook(topics))["cells"]
    return [
        line
        for cell in cells
        for line in "".join(cell["source"]).splitlines()
        if line.startswith("## ")
    ]


def test_sections_that_do_not_apply_are_left_out():
    every = {"NEURONS", "LAYERS", "SEED", "NOISE", "failed", "smallest"}
    whole = json.loads(report.TEMPLATE.read_text(encoding="utf-8"))
    tags = {tag for cell in whole["cells"] for tag in cell["metadata"].get("tags", [])}
    assert tags == {"parameters"} | {f"needs-{topic}" for topic in every}
    assert {name for name in every if name.isupper()} <= set(spec.defaults())
    assert json.loads(report._notebook(every)) == whole
    assert sections({"SEED"}) == [
        "## What do memory and time buy?",
        "## How much is luck?",
        "## The smallest that still draws a good sine",
    ]


def test_what_there_is_to_say_of_a_sweep(tmp_path):
    rows = [row for row in read_rows() if row["NOISE"] == "0.1"]
    assert report._topics(write_sweep(tmp_path, rows)) == {"NEURONS", "LAYERS", "SEED", "smallest"}
    rows[0]["status"] = "failed"
    for row in rows:
        row |= {"good": "False", "LAYERS": "1"}
    assert report._topics(write_sweep(tmp_path, rows)) == {"NEURONS", "SEED", "failed"}


def test_the_report_of_a_hostile_sweep(tmp_path):
    """Every text of a sweep's files is tried; the numbers are those of the shipped table."""
    rows = [row for row in read_rows() if row["NOISE"] == "0.1"]
    for number, row in enumerate(rows):
        texts = {"runtime": HOSTILE, "worker": HOSTILE, HOSTILE: HOSTILE, "attempts": HOSTILE}
        row |= texts | {"error": HOSTILE}
        if number % 3 == 0:
            row["status"] = HOSTILE
    plan = {"runs": [{HOSTILE: HOSTILE}], "varied": [HOSTILE]}
    folder = write_sweep(tmp_path / "sweep", rows, plan)
    result = CliRunner().invoke(main, ["sweep", "report", str(folder)])
    assert result.exit_code == 0, result.output
    assert not moves_the_cursor(result.output)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not harmful(page) and "&lt;script&gt;" in page, "The table of failed runs shows them."
    assert not moves_the_cursor(page) - {"\t", "\xa0"}
    assert "Runs that failed are left out" in page and "What does noise do?" not in page
    notebook = nbformat.read(folder / "report.ipynb", 4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 6, "Two fronts, width, depth, seeds, and the smallest one's wave."


def test_the_smallest_is_good_for_every_seed():
    rows = report.table(SHIPPED)
    best = report.smallest(rows)
    every = rows.groupby(["LAYERS", "NEURONS", "NOISE"])
    reliable = {key for key, some in every if some["good"].all()}
    assert (best["LAYERS"], best["NEURONS"], best["NOISE"]) in reliable
    assert best["flash"] == min(every.get_group(key)["flash"].max() for key in reliable)
    rows["good"] = False
    assert report.smallest(rows) is None


def test_a_configuration_is_the_median_of_its_errors_and_the_most_of_its_memory():
    rows = report.table(SHIPPED)
    for name in ("flash", "ram"):  # as if the seed mattered for them
        rows[name] += rows["SEED"] * rows["SEED"]
    groups = report.configurations(rows)
    assert groups["runs"].sum() == len(rows)
    for _, group in groups.iterrows():
        names = report.configuration_parameters()
        some = rows[(rows[names] == group[names]).all(axis=1)]
        assert len(some) == group["runs"] and some["good"].sum() == group["good"]
        assert group["sine_error"] == some["sine_error"].median()
        assert group["flash"] == some["flash"].max() and group["ram"] == some["ram"].max()
        chosen = rows.set_index("run").loc[report.run_of(rows, group)]
        off = (some["sine_error"] - group["sine_error"]).abs()
        assert abs(chosen["sine_error"] - group["sine_error"]) == off.min()


def test_a_configuration_in_words():
    rows = report.table(SHIPPED)
    best = report.smallest(rows)
    words = report.describe(best, rows)
    assert words.startswith(f"NOISE {best['NOISE']}, NEURONS {best['NEURONS']}, LAYERS ")
    assert f"{best['flash']:,} bytes of flash" in words and "SEED" not in words
    alike = rows[(rows["NEURONS"] == 2) & (rows["LAYERS"] == 1) & (rows["NOISE"] == 0.0)]
    assert report.describe(best, alike).startswith("the only configuration: ")


def test_tables_that_are_none(tmp_path):
    with pytest.raises(MissingArtifact, match="no table"):
        report.table(tmp_path)
    with pytest.raises(MissingArtifact, match="no sweep"):
        report.make(tmp_path)
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(WorkshopError, match="not the table"):
        report.table(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("flash", "many", "is not the table of a sweep"),
        ("sine_error", HOSTILE, "is not the table of a sweep"),
        ("status", "failed", "ended well, so there is nothing to show"),
    ],
)
def test_a_damaged_table_is_one_sentence(tmp_path, column, value, words):
    rows = read_rows()
    for row in rows:
        row[column] = value
    folder = write_sweep(tmp_path / "sweep", rows)
    with pytest.raises(WorkshopError, match=words):
        report.make(folder)
    assert not (folder / "report.ipynb").exists()


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("good", "maybe", "good is 'maybe', but should be True or False"),
        ("good", "False ", "good is 'False ', but should be True or False"),
        ("flash", "-5", "flash is '-5', but should be a whole number"),
        ("ram", "1.5", "ram is '1.5', but should be a whole number"),
        ("equal", "", "equal is '', but should be a whole number"),
        ("test_error", "inf", "test_error is 'inf', but should be a number"),
        ("sine_error", "nan", "sine_error is 'nan', but should be a number"),
        ("NOISE", "loud", "NOISE is 'loud', but should be a number"),
        ("NOISE", "11", "NOISE is 11.0, but must be a number from 0 to 10"),
        ("per_channel", "no", "per_channel is 'no', but should be True or False"),
        ("NEURONS", "9" * 20, "NEURONS is '9+', but should be a whole number"),
        ("NEURONS", "0", "NEURONS is 0, but must be from 1"),
    ],
)
def test_one_damaged_cell_is_named(tmp_path, column, value, words):
    rows = read_rows()
    rows[6][column] = value
    with pytest.raises(WorkshopError, match=f"is not the table of a sweep: in row 7 {words}"):
        report.make(write_sweep(tmp_path / "sweep", rows))


def test_a_damaged_cell_of_a_failed_run_harms_nobody(tmp_path):
    rows = read_rows()
    rows[6] |= {"status": "failed", "flash": "", "good": ""}
    assert len(report.table(write_sweep(tmp_path, rows))) == len(rows) - 1


def test_a_table_without_a_column(tmp_path):
    rows = [{name: row[name] for name in row if name != "flash"} for row in read_rows()]
    with pytest.raises(WorkshopError, match="is not the table of a sweep"):
        report.table(write_sweep(tmp_path, rows))


def test_a_table_that_is_older_than_a_parameter_and_a_metric(tmp_path):
    """The notebooks' value stands for the parameter: it was used when there was no other."""
    new = ("REPRESENTATIVE", "weights")
    rows = [{name: row[name] for name in row if name not in new} for row in read_rows()]
    table = report.table(write_sweep(tmp_path, rows))
    assert set(table["REPRESENTATIVE"]) == {spec.defaults()["REPRESENTATIVE"]}
    assert table["weights"].isna().all()


def test_without_the_models_of_a_sweep_its_report_has_no_wave(tmp_path):
    folder = write_sweep(tmp_path, read_rows())
    assert "smallest" in report._topics(folder)
    shutil.rmtree(folder / "runs")
    assert "smallest" not in report._topics(folder)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"varied": []}, r"sweep\.json is damaged: runs is missing"),
        ({"runs": [{}, 3], "varied": []}, r"runs\[1\] is 3, but should be an object"),
        ({"runs": [{"SEED": None}], "varied": []}, r"runs\[0\]\.SEED is None, but should be"),
        ({"runs": [], "varied": [3]}, r"varied\[0\] is 3, but should be a text"),
    ],
)
def test_a_damaged_plan_is_one_sentence(tmp_path, plan, words):
    folder = write_sweep(tmp_path / "sweep", read_rows(), plan)
    with pytest.raises(WorkshopError, match=words):
        execute.read(folder)


def test_a_run_without_its_model(tmp_path):
    with pytest.raises(MissingArtifact, match="folder is not complete"):
        report.model(tmp_path, 1)
