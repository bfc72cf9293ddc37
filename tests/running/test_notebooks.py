"""The course's notebooks as files, and the types of their parameters."""

import re

import pytest
from notebook_factory import write_notebook

from workshop_utils import paths
from workshop_utils.errors import WorkshopError
from workshop_utils.running import course, notebooks


def test_the_notebooks_of_the_course():
    every = notebooks.notebooks()
    there = sorted(paths.NOTEBOOKS_DIR.glob("*.ipynb"))
    assert list(every.values()) == [path for path in there if path.name[0].isdigit()]
    assert list(every) == [path.name.partition("_")[0] for path in every.values()]
    assert len(set(every)) == len(every) and list(every)[:6] == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize(
    ("first", "only", "begin", "end"),
    [
        (None, None, "01", "99"),
        ("1", None, "01", "99"),
        ("04", None, "04", "99"),
        (None, "5", "05", "05"),
        (None, "05", "05", "05"),
    ],
)
def test_select(first, only, begin, end):
    every = notebooks.notebooks().items()
    expected = [path for number, path in every if begin <= number <= end]
    assert notebooks.select(first, only) == expected


def test_select_a_range():
    assert [path.name[:2] for path in notebooks.select("2", last="04")] == ["02", "03", "04"]
    with pytest.raises(WorkshopError, match="notebook 05 comes after 04"):
        notebooks.select("5", last="4")


def test_a_notebook_on_the_page_is_the_one_with_its_number(small_course):
    (small_course / "README.md").write_text("[1](01_first.ipynb) [2](02_second.ipynb)")
    for name in ("02_second-Copy1", "02_second_mine", "03_own"):
        write_notebook(small_course / f"{name}.ipynb", "1")
    names = [path.stem for path in notebooks.select()]
    assert names == ["01_first", "02_second", "03_own"]


@pytest.mark.parametrize("is_clone", [True, False])
def test_a_deleted_notebook_is_refused_before_any_starts(small_course, is_clone):
    (small_course / "README.md").write_text("[1](01_first.ipynb) [2](02_second.ipynb)")
    (small_course / "02_second.ipynb").unlink()
    if is_clone:
        (small_course.parent / ".git").mkdir()
    cure = r"git checkout -- notebooks/02_second\.ipynb\.$" if is_clone else "workshop reset, "
    for numbers in ({}, {"only": "2"}):
        with pytest.raises(WorkshopError, match=rf"02_second\.ipynb is missing; .*{cure}"):
            course.run(notebooks.select(**numbers), {}, say=print)
    assert not paths.home().output_dir.exists()
    assert course.run(notebooks.select(only="1"), {}, say=print).is_file()


@pytest.mark.parametrize("number", ["00", "100", "x", ""])
@pytest.mark.parametrize("which", ["first", "only", "last"])
def test_select_what_does_not_exist(which, number):
    with pytest.raises(WorkshopError, match=r"There is no notebook .*; choose one of 01, 02"):
        notebooks.select(**{which: number})


def test_parameters_are_literals_with_the_courses_values():
    parameters = {
        number: notebooks.parameters(path) for number, path in notebooks.notebooks().items()
    }
    assert parameters["02"] == {"SEED": 1, "SAMPLES": 1000, "NOISE": 0.1}
    assert parameters["03"] == {"SEED": 1, "EPOCHS": 500, "BATCH_SIZE": 64}
    assert parameters["04"] == parameters["03"] | {"NEURONS": 16, "LAYERS": 2}
    assert all(parameters.values()), "A notebook has no parameters."


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"SEED": "7"}, {"SEED": 7}),
        ({"RATE": "2"}, {"RATE": 2.0}),
        ({"RATE": "1e-3"}, {"RATE": 0.001}),
        ({"LOUD": "True"}, {"LOUD": True}),
        ({"NAME": "3"}, {"NAME": "3"}),
    ],
)
def test_parameter_values(small_course, given, expected):
    values = notebooks.check_parameters(given, notebooks.select())
    assert values == expected
    assert all(type(values[name]) is type(value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"SEEDS": "1"},
            "There is no parameter SEEDS; these notebooks have: LOUD, NAME, RATE, SEED",
        ),
        ({"SEED": "1.5"}, "SEED must be a whole number, not '1.5'"),
        ({"SEED": "one"}, "SEED must be a whole number"),
        ({"SEED": "True"}, "SEED must be a whole number"),
        ({"RATE": "fast"}, "RATE must be a number"),
        ({"LOUD": "1"}, "LOUD must be True or False"),
        ({"SEED": "__import__('os')"}, "SEED must be a whole number"),
    ],
)
def test_bad_parameters(small_course, given, words):
    with pytest.raises(WorkshopError, match=re.escape(words)):
        notebooks.check_parameters(given, notebooks.select())


@pytest.mark.parametrize(
    ("value", "default", "bools", "words"),
    [
        ("one", 1, None, "X must be a whole number, not 'one'"),
        (1.5, 1, None, "X must be a whole number, not 1.5"),
        (True, 1, None, "X must be a whole number, not True"),
        (True, 0.5, None, "X must be a number, not True"),
        (1, False, None, "X must be True or False, not 1"),
        (1, False, "yes or no", "X must be yes or no, not 1"),
        (1, "text", None, "X must be str, not 1"),
        (None, 1, None, "X must be a whole number, not None"),
    ],
)
def test_values_of_another_type(value, default, bools, words):
    with pytest.raises(WorkshopError, match=f"^{words}\\.$"):
        notebooks.typed("X", value, default, *([bools] if bools else []))


def test_a_text_is_a_literal_and_an_integer_is_a_number():
    for given, default, value in (("1e-3", 0.1, 0.001), (2, 0.1, 2.0), ("7", 1, 7), ("7", "", "7")):
        found = notebooks.typed("X", given, default)
        assert found == value and type(found) is type(default)


def test_tagged_cells(tmp_path):
    path = write_notebook(tmp_path / "x.ipynb", ("a = 1\nb = 2", "one"), "c = 3", ("d = 4", "one"))
    assert notebooks.tagged_source(path, "one") == ["a = 1\nb = 2", "d = 4"]
    assert notebooks.tagged_source(path, "other") == []
    assert notebooks.parameters(path) == {}


def test_a_file_is_named_as_seen_from_where_one_stands(small_course, monkeypatch, tmp_path):
    """A notebook runs in a folder of its own."""
    write_notebook(small_course / "03_third.ipynb", ('FILE = "a.csv"\nWORD = "b"', "parameters"))
    (tmp_path / "mine.csv").touch()
    monkeypatch.chdir(tmp_path)
    chosen = {"FILE": "mine.csv", "WORD": "mine.csv"}
    values = notebooks.check_parameters(chosen, notebooks.select(only="03"))
    assert values == {"FILE": str(tmp_path / "mine.csv"), "WORD": "mine.csv"}
    for name in ("gone.csv", "x" * 5000, "\0"):
        assert notebooks.check_parameters({"FILE": name}, notebooks.select()) == {"FILE": name}


def numbers(found):
    return [path.name[:2] for path in found]


def test_what_a_notebook_needs_and_what_that_needs_in_turn(tmp_path):
    says = ["nothing", "notebook 1", "notebooks 2 and 12", "notebooks 1, 2 and 3", None]
    says += ["notebook 3, or so", "notebooks 2 to 4, to know it; none of their files", "notebook 4"]
    paths = [tmp_path / f"0{number}_x.ipynb" for number in range(1, len(says) + 1)]
    for path, needs in zip(paths, says, strict=True):
        write_notebook(path, "1", needs=needs)
    found = [numbers(notebooks.needed(path, paths)) for path in paths]
    before = ["01", "02", "03", "04", "05"]
    assert found[:4] == [[], ["01"], ["01", "02"], ["01", "02", "03"]]
    assert found[4:] == [before[:4], before, [], before[:4]]
    assert numbers(notebooks.needed(paths[3], [paths[2], paths[6]])) == ["03"]
    paths[3].unlink()
    assert numbers(notebooks.needed(paths[3], paths)) == before[:3]
    write_notebook(paths[3], "changed", needs="nothing")
    assert notebooks.needed(paths[3], paths) == []


def test_two_that_build_firmware_are_not_at_work_together(tmp_path):
    both = [tmp_path / "01_a.ipynb", tmp_path / "02_b.ipynb"]
    for path in both:
        write_notebook(path, "from workshop_utils import emulator, firmware", needs="nothing")
    assert notebooks.awaited(both) == {both[0]: [], both[1]: [both[0]]}
    write_notebook(both[1], "from workshop_utils import emulator", needs="nothing")
    assert notebooks.awaited(both) == {both[0]: [], both[1]: []}
    write_notebook(both[1], "1")
    assert notebooks.awaited(both) == {both[0]: [], both[1]: [both[0]]}


def test_which_ones_of_the_course_await_which():
    found = {
        one.name[:2]: numbers(others)
        for one, others in notebooks.awaited(notebooks.select()).items()
    }
    assert found["03"] == found["04"] == ["01", "02"]
    assert found["05"] == ["01", "02", "04"] and found["06"] == ["01", "02", "04", "05"]
    assert "06" in found["07"] and found["09"] == [] and found["10"] == ["06", "07"]
