import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from notebook_factory import write_notebook

from workshop_utils import c_source, data, files, inference, paths, training
from workshop_utils.cli import main
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.running import catchup, notebooks


def tree(home):
    """All files of a home but the lock."""
    found = (path for path in home.path.rglob("*") if path.is_file() and path.name != ".run.lock")
    return sorted(path.relative_to(home.path).as_posix() for path in found)


MODELS = ["small_model.keras", "small_model.history.json", "model.keras", "model.history.json"]


@pytest.mark.parametrize("name", ["5", "05", "05_tensorflow_lite", "05_tensorflow_lite.ipynb"])
def test_what_notebook_05_needs_by_each_of_its_names(home, name):
    result = CliRunner().invoke(main, ["catch-up", name])
    assert result.exit_code == 0, result.stderr
    assert tree(home) == sorted(f"models/{file}" for file in ["dataset.npz", *MODELS])
    assert result.stdout.count("filled in") == 5
    assert "Notebook 05_tensorflow_lite.ipynb has all that it needs." in result.stdout


@pytest.mark.parametrize(("number", "count"), [("1", 0), ("2", 0), ("3", 1), ("4", 3), ("6", 7)])
def test_how_much_the_others_need(home, number, count):
    catchup.fill_in(number, home=home)
    assert len(tree(home)) == count


def test_a_notebook_after_the_sixth_gets_the_firmwares_model_too(home):
    catchup.fill_in("07", home=home)
    model = home.model_tflite.read_bytes()
    for path in (home.model_tflite_micro, home.firmware_model):
        assert c_source.read(path) == model


def test_what_is_there_is_kept(home):
    mine = files.write(home.dataset, b"mine")
    result = CliRunner().invoke(main, ["catch-up", "05"])
    assert mine.read_bytes() == b"mine"
    assert "kept       models/dataset.npz, which was there" in result.stdout
    assert "not made from your files" in result.stdout
    again = catchup.fill_in("05", home=home)
    assert again.filled_in == [] and len(again.kept) == 5


def test_force_replaces_it(home):
    mine = files.write(home.dataset, b"mine")
    assert CliRunner().invoke(main, ["catch-up", "3", "--force"]).exit_code == 0
    assert len(data.load(mine).x_train) == 600


@pytest.mark.parametrize("name", ["0", "100", "x", "", "05_other"])
def test_a_notebook_that_does_not_exist(home, name):
    result = CliRunner().invoke(main, ["catch-up", name])
    assert result.exit_code == 1 and tree(home) == []
    assert f"There is no notebook {name}; choose one of 01, 02" in result.stderr


def test_a_damaged_reference_is_refused_and_nothing_is_written(home, tmp_path, monkeypatch):
    copy = tmp_path / "reference"
    copy.mkdir()
    for path in paths.REFERENCE_DIR.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(paths, "REFERENCE_DIR", copy)
    content = bytearray((copy / "model.tflite").read_bytes())
    content[1000] ^= 1
    (copy / "model.tflite").write_bytes(content)
    with pytest.raises(WorkshopError, match=r"model\.tflite is damaged"):
        catchup.fill_in("06", home=home)
    assert not [name for name in tree(home) if not name.startswith("reference/")]
    (copy / "model.tflite").unlink()
    with pytest.raises(WorkshopError, match="cannot be read"):
        catchup.fill_in("06", home=home)


def test_run_makes_what_is_missing(home):
    result = CliRunner().invoke(main, ["catch-up", "03", "--run"])
    assert result.exit_code == 0, result.stderr
    assert "running 02_dataset.ipynb" in result.stdout
    assert tree(home) == ["models/dataset.npz"]
    reference = data.load(paths.REFERENCE_DIR / "dataset.npz")
    assert all(map(np.array_equal, data.load(home.dataset), reference))


@pytest.fixture
def quick_notebooks(tmp_path_factory, monkeypatch):
    """In the place of the course's own: one that makes the dataset, and one that reads it."""
    folder = tmp_path_factory.mktemp("notebooks")
    first = "from workshop_utils import files, paths; files.write(paths.DATASET, b'1')"
    write_notebook(folder / "02_dataset.ipynb", first)
    second = "from workshop_utils import data, paths; data.load(paths.DATASET)"
    write_notebook(folder / "03_small_model.ipynb", second)
    write_notebook(folder / "04_larger_model.ipynb", "")
    monkeypatch.setattr(paths, "NOTEBOOKS_DIR", folder)


def test_run_reads_what_is_there_and_writes_nothing_when_it_fails(home, quick_notebooks):
    files.write(home.dataset, b"mine")
    result = CliRunner().invoke(main, ["catch-up", "04", "--run"])
    assert result.exit_code == 1
    assert "models/dataset.npz is damaged" in result.stderr
    assert tree(home) == ["models/dataset.npz"]


def test_another_home_is_left_alone_and_needs_no_environment(home, tmp_path, quick_notebooks):
    other = Home(tmp_path / "another")
    catchup.fill_in("03", run=True, home=other, say=lambda line: None)
    assert tree(other) == ["models/dataset.npz"] and not home.models_dir.exists()


def test_it_waits_for_nobody_who_runs_the_course_in_this_home(home, tmp_path):
    with files.artifacts_locked(home):
        with pytest.raises(WorkshopError, match="Another run of the course is at work"):
            catchup.fill_in("03", home=home)
        catchup.fill_in("03", home=Home(tmp_path / "another"))
    assert tree(home) == ["another/models/dataset.npz"]


# ---- The reference itself


def test_the_reference_is_listed_and_small():
    lines = (paths.REFERENCE_DIR / catchup.HASHES).read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    there = {path.name for path in paths.REFERENCE_DIR.iterdir()} - {catchup.HASHES}
    assert there == set(listed)
    for name, digest in listed.items():
        content = (paths.REFERENCE_DIR / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    assert sum(path.stat().st_size for path in paths.REFERENCE_DIR.iterdir()) < 200_000


def test_the_reference_has_all_that_later_notebooks_need():
    needed = catchup.artifacts(max(notebooks.notebooks()))
    wanted = {path.name for path in needed if path.suffix != ".cc"}
    assert wanted | {catchup.HASHES} == {path.name for path in paths.REFERENCE_DIR.iterdir()}


def test_the_firmwares_reference_model_is_the_same():
    model = (paths.REFERENCE_DIR / "model.tflite").read_bytes()
    assert paths.FIRMWARE_REFERENCE_MODEL.read_text() == c_source.to_c_source(model)


def test_the_reference_was_made_with_the_courses_parameters_and_has_learned():
    own = notebooks.parameters(notebooks.notebooks()["02"])
    made = data.split(*data.make(own["SAMPLES"], own["NOISE"], own["SEED"]))
    stored = data.load(paths.REFERENCE_DIR / "dataset.npz")
    assert all(map(np.array_equal, made, stored))
    for name in ("model_no_quant.tflite", "model.tflite"):
        model = (paths.REFERENCE_DIR / name).read_bytes()
        error = inference.evaluate(model, stored.x_test, stored.y_test)
        assert data.draws_a_sine(error, data.noise_floor(stored.x_test, stored.y_test))
    for name, number in {"small_model": "03", "model": "04"}.items():
        history = training.load_history(paths.REFERENCE_DIR / f"{name}.keras")
        assert (
            len(history["val_loss"])
            == notebooks.parameters(notebooks.notebooks()[number])["EPOCHS"]
        )


def test_the_float_model_is_the_keras_model(tmp_path):
    from workshop_utils import convert

    model = training.load_model(paths.REFERENCE_DIR / "model.keras")
    x = np.linspace(0, 6.28, 50, dtype=np.float32)
    stored = (paths.REFERENCE_DIR / "model_no_quant.tflite").read_bytes()
    converted = convert.to_float(model)
    assert np.allclose(inference.predict(stored, x), inference.predict(converted, x), atol=1e-6)


def test_it_takes_no_numeric_library(tmp_path):
    code = (
        "from workshop_utils.running import catchup; catchup.fill_in('06');"
        "import sys; print(sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "WORKSHOP_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'numpy'" not in result.stdout and "'papermill'" not in result.stdout
    assert (tmp_path / "models" / "model.tflite").is_file()
