import copy
import json
import re

import nbformat
import pytest
from click.testing import CliRunner

from workshop_utils import data, files, paths
from workshop_utils.cli import main
from workshop_utils.errors import WorkshopError
from workshop_utils.running import catchup, metrics, notebooks, page, records, report


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The reference artifacts in a folder of their own, as WORKSHOP_HOME would have them."""
    moved = {tmp_path / path.relative_to(paths.HOME): by for path, by in paths.MADE_BY.items()}
    names = ["DATASET", "SMALL_MODEL_TF", "MODEL_TF", "MODEL_NO_QUANT_TFLITE", "MODEL_TFLITE"]
    for name in [*names, "FIRMWARE_MODEL", "FIRMWARE_IMAGES_DIR", "OUTPUT_DIR"]:
        monkeypatch.setattr(paths, name, tmp_path / getattr(paths, name).relative_to(paths.HOME))
    monkeypatch.setattr(paths, "MADE_BY", moved)
    monkeypatch.setattr(paths, "HOME", tmp_path)
    catchup.fill_in("06")
    return tmp_path


NOTEBOOKS = {"03_small_model": {"SEED": 1, "EPOCHS": 500}, "04_larger_model": {"SEED": 1}}


def record(**changes):
    """A record as a run would write it."""
    content = {
        "schema": 1,
        "kind": "run",
        "started": "2026-03-01T14:05:09Z",
        "seconds": 30.0,
        "finished": True,
        "failure": None,
        "parameters": NOTEBOOKS,
        "machine": {"system": "Linux 6", "cpus": 2, "memory_bytes": 8_000_000_000},
        "versions": {"numpy": "2.4.6", "keras": "3.15.1", "tqdm": None},
        "notebooks": [{"name": name, "status": "ok", "seconds": 12.5} for name in NOTEBOOKS],
        "metrics": {"converged": True, "noise_floor": 0.0087, "test_mse_int8": 0.0095},
    }
    return {**copy.deepcopy(content), **changes}


# ---- Metrics


def test_metrics_of_the_reference(home):
    found = metrics.measure()
    assert found["converged"] is True
    assert found["noise_floor"] < found["test_mse_float"] < found["noise_floor"] + metrics.CONVERGED
    assert found["int8_bytes"] == (paths.REFERENCE_DIR / "model.tflite").stat().st_size
    history = json.loads((paths.REFERENCE_DIR / "model.history.json").read_text())
    assert found["val_loss"] == history["val_loss"][-1]
    assert found["small_val_loss"] > 0.1
    assert "flash_bytes" not in found, "There is no image."
    assert list(found) == [name for name in metrics.METRICS if name in found]


def test_a_model_that_misses_the_sine_has_not_converged(home):
    dataset = data.load(paths.DATASET)
    data.save(dataset._replace(x_test=(dataset.x_test + 1) % 6.28), paths.DATASET)
    assert metrics.measure()["converged"] is False


def test_noise_alone_is_no_failure(home):
    data.save(data.split(*data.make(20000, 0.5, seed=2)), paths.DATASET)
    found = metrics.measure()
    assert found["test_mse_int8"] > 0.2 and found["converged"] is True


def test_what_a_failed_notebook_left_behind_does_not_count(home):
    found = metrics.measure(without={"05_tensorflow_lite"})
    assert "val_loss" in found and not {"test_mse_int8", "int8_bytes", "converged"} & set(found)


@pytest.mark.parametrize("name", ["dataset.npz", "model.tflite", "model.history.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"\0" * 3000])
def test_damaged_artifacts_are_left_out(home, name, content):
    (home / "models" / name).write_bytes(content)
    assert metrics.measure()["keras_bytes"] > 0


def test_an_image_with_another_model_does_not_count(home):
    model = paths.MODEL_TFLITE.read_bytes()
    files.write(paths.FIRMWARE_MODEL, "any")
    for program in ("wave", "sweep"):
        files.write(paths.FIRMWARE_IMAGES_DIR / f"emulator-compact-zig-{program}.elf", model[1:])
    assert "flash_bytes" not in metrics.measure()


# ---- The record


def test_the_record_grows_with_the_run(home, tmp_path):
    selected = notebooks.select(first="05")
    made = records.Record(tmp_path, selected, {"CYCLES": 3})
    assert not (tmp_path / "run.json").exists()
    made.begin()
    assert not records.read(tmp_path)["finished"]
    made.add(selected[0], "ok", 3.14)
    stopped = records.read(tmp_path)
    first, *others = (row["status"] for row in stopped["notebooks"])
    assert first == "ok" and set(others) == {"not run"}
    assert stopped["parameters"]["06_microcontroller"]["CYCLES"] == 3
    assert stopped["parameters"]["05_tensorflow_lite"] == {"REPRESENTATIVE": 500}
    made.add(selected[1], "failed", 1)
    made.finish("06 failed")
    ended = records.read(tmp_path / "run.json")
    assert ended["finished"] and ended["failure"] == "06 failed"
    assert ended["metrics"]["converged"] and ended["seconds"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", ended["started"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged: it is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"kind": "doctor"}', "is not the record of a run"),
        ('{"kind": "run"}', "is damaged: started"),
        (json.dumps(record(notebooks=[1])), "notebooks\\[0\\] is 1, but should be an object"),
    ],
)
def test_a_damaged_record_is_one_sentence(tmp_path, content, words):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(WorkshopError, match=words):
        records.read(tmp_path)
    with pytest.raises(WorkshopError, match="Cannot read"):
        records.read(tmp_path / "other")


# ---- The summary


def test_the_summary_says_how_it_went():
    text = report.summary(record())
    assert "The model has learned the sine: test error 0.0095, of which noise makes 0.0087." in text
    assert "2026-03-01 14:05:09 UTC" in text and "12.5 s" in text and "8.0 GB" in text
    assert 'class="verdict"' in text
    assert "\n\n" not in text, "Markdown would end the HTML here."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"failure": "04, cell In [3]: no."}, "The run failed. 04, cell In [3]: no."),
        ({"finished": False}, "did not come to its end"),
        (
            {"metrics": {"converged": False, "noise_floor": 0.01, "test_mse_float": 0.15}},
            "has not learned the sine: test error 0.1500",
        ),
        (
            {"metrics": {**record()["metrics"], "equal_answers": 255}},
            "On the emulated chip 255 of 256 answers equal",
        ),
    ],
)
def test_the_summary_says_what_is_bad(changes, words):
    text = report.summary(record(**changes))
    assert words in text and 'class="verdict bad"' in text


def test_the_summary_is_text_and_not_code():
    text = report.summary(
        record(failure="<script>x</script>", versions={"<b>": "<i>"}, machine={"system": "<u>"})
    )
    assert not re.search(r"<(script|b|i|u)>", text)


def test_the_notebook_that_failed_is_marked_and_times_are_those_of_the_rest():
    rows = [
        {"name": name, "status": status, "seconds": 2.0}
        for name, status in {"01_a": "ok", "02_b": "failed", "03_c": "not run"}.items()
    ]
    text = report.summary(record(notebooks=rows, failure="02_b failed"))
    assert text.count('class="failed"') == 1 and 'class="not run"' not in text
    times = re.findall(r"</span></td><td>([^<]+)</td>", text)
    assert times == ["2.0 s", "failed", "not run"]


def test_one_parameter_with_two_values_is_shown_twice():
    text = report.summary(record(parameters={"03_a": {"SEED": 1}, "04_b": {"SEED": 2}}))
    assert "03: SEED" in text and "04: SEED" in text


# ---- A page made anew


def write_run(folder, **changes):
    folder.mkdir(parents=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for name in NOTEBOOKS:
        cells = [nbformat.v4.new_markdown_cell(f"text of {name}")]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, folder / f"{name}.ipynb")
    (folder / "run.json").write_text(json.dumps(record(**changes)))
    return folder


def test_the_page_is_made_again(tmp_path):
    folder = write_run(tmp_path / "a run")
    result = CliRunner().invoke(main, ["report", str(folder)])
    assert result.exit_code == 0 and str(folder / "report.html") in result.stdout
    text = (folder / "report.html").read_text()
    assert text.index("has learned the sine") < text.index("text of 03_small_model")
    assert "&lt;div" not in text and '<p class="verdict">' in text, "The summary is not HTML."
    assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(?!data:)[^"]+"', text)


def test_without_a_record_there_is_no_summary(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "run.json").unlink()
    again = page.rebuild(folder).read_text()
    assert "text of 04_larger_model" in again and "verdict" not in again


def test_nothing_to_make_a_page_of(tmp_path):
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 1 and "There are no executed notebooks in" in result.stderr


# ---- Two runs


OTHER = {
    "parameters": {"03_small_model": {"SEED": 2, "EPOCHS": 500}, "04_larger_model": {"SEED": 2}},
    "versions": {"numpy": "2.4.6", "keras": "3.16.0", "tqdm": None},
    "metrics": {"converged": False, "test_mse_int8": 0.16, "int8_bytes": 2736},
}


def test_two_runs_side_by_side(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other", **OTHER)
    page = tmp_path / "both.html"
    command = ["compare", str(one), str(other / "run.json"), "--html", str(page)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in (
        "* SEED 1 2",
        "EPOCHS 500 500",
        "* Converged yes no",
        "* model.tflite - 2,736",
        "03_small_model 12.5 s 12.5 s",
        "* keras 3.15.1 3.16.0",
        "2 others are equal",
    ):
        assert line in lines
    assert lines.index("* SEED 1 2") < lines.index("EPOCHS 500 500"), "What differs comes first."
    text = page.read_text()
    assert "3.16.0" in text and "http" not in text and "src=" not in text


def test_a_run_equals_itself(tmp_path):
    one = str(write_run(tmp_path / "one"))
    result = CliRunner().invoke(main, ["compare", one, one])
    assert result.exit_code == 0 and "*" not in result.stdout
    assert "all 3 are equal" in result.stdout
