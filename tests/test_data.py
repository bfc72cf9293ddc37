import pickle
import zipfile

import numpy as np
import pytest
from hostile import refusals

from workshop_utils import data
from workshop_utils.errors import MissingArtifact, WorkshopError


def test_samples_follow_the_sine_with_the_noise_asked_for():
    x, y = data.make(20_000, 0.1, seed=3)
    assert x.dtype == y.dtype == np.float32
    assert x.shape == y.shape == (20_000,)
    assert x.min() >= 0 and x.max() <= np.float32(2 * np.pi)
    # A uniform distribution has a quarter of its mass in each quarter of its range.
    quarters = np.histogram(x, bins=4, range=(0, 2 * np.pi))[0] / x.size
    assert np.allclose(quarters, 0.25, atol=0.02)
    residual = y - np.sin(x)
    assert abs(residual.mean()) < 0.005
    assert abs(residual.std() - 0.1) < 0.005


def test_samples_come_in_no_order():
    x, _ = data.make(1000, 0.1, seed=1)
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.1


def test_same_seed_same_samples():
    assert all(map(np.array_equal, data.make(50, 0.1, 7), data.make(50, 0.1, 7)))
    assert not np.array_equal(data.make(50, 0.1, 7)[0], data.make(50, 0.1, 8)[0])


@pytest.mark.parametrize("samples", [0, -5, 9, 10**9, 3.5, "many", True])
def test_bad_sample_counts(samples):
    with pytest.raises(WorkshopError, match="SAMPLES is"):
        data.make(samples, 0.1, 1)


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf"), "loud"])
def test_bad_noise(noise):
    with pytest.raises(WorkshopError, match="NOISE is"):
        data.make(100, noise, 1)


@pytest.mark.parametrize("seed", [-1, 1.5, "one", 2**32])
def test_bad_seeds(seed):
    with pytest.raises(WorkshopError, match="SEED is"):
        data.make(100, 0.1, seed)


@pytest.mark.parametrize("samples", [data.MIN_SAMPLES, data.MAX_SAMPLES])
@pytest.mark.parametrize("noise", [0, data.MAX_NOISE])
@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_last_values_that_work(samples, noise, seed):
    data.check_parameters(samples, noise, seed)
    for bad in ((samples, data.MAX_NOISE + 0.1, seed), (samples, True, seed)):
        with pytest.raises(WorkshopError, match=r"^NOISE is"):
            data.check_parameters(*bad)


def test_a_model_draws_a_sine_if_it_is_close_to_the_floor():
    x, y = data.make(100_000, 0.2, seed=5)
    floor = data.noise_floor(x, y)
    assert floor == pytest.approx(0.04, rel=0.02)
    assert data.noise_floor(x, np.sin(x)) == 0
    assert data.draws_a_sine(0.02, 0.01) is True and data.draws_a_sine(0.0201, 0.01) is False
    assert data.draws_a_sine(floor, floor) is True


def test_split_deals_out_every_sample_once():
    x, y = data.make(1000, 0.1, seed=1)
    parts = data.split(x, y)
    assert [part.size for part in parts] == [600, 600, 200, 200, 200, 200]
    assert np.array_equal(np.concatenate(parts[0::2]), x)
    assert np.array_equal(np.concatenate(parts[1::2]), y)


@pytest.mark.parametrize(("train", "test"), [(0.9, 0.2), (0, 0.2), (0.6, 0), (0.8, 0.2), (-1, 0.5)])
def test_shares_that_do_not_add_up(train, test):
    x, y = data.make(100, 0.1, seed=1)
    with pytest.raises(WorkshopError, match="leave one of the three sets empty"):
        data.split(x, y, train, test)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([], [], "empty"),
        ([1, 2], [1], "equally long"),
        ([[1.0]], [[1.0]], "one-dimensional"),
        ([[[1.0]]], [1.0], "one-dimensional"),
        ([[1.0, 2.0]], [1.0, 2.0], "equally long"),
        ([1, float("nan")], [1, 2], "NaN"),
        ([1, 2], [1, float("inf")], "NaN or infinity"),
    ],
)
def test_bad_arrays(x, y, words):
    with pytest.raises(WorkshopError, match=words):
        data.split(x, y)


def test_save_and_load(tmp_path, dataset):
    path = data.save(dataset, tmp_path / "dataset.npz")
    assert all(map(np.array_equal, data.load(path), dataset))


def test_load_without_a_file(tmp_path):
    with pytest.raises(MissingArtifact):
        data.load(tmp_path / "dataset.npz")


@pytest.mark.parametrize("damage", ["cut", "text", "other"])
def test_load_a_damaged_file(tmp_path, dataset, damage):
    path = data.save(dataset, tmp_path / "dataset.npz")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    elif damage == "text":
        path.write_text("not a dataset")
    else:
        np.savez(path, something=[1])
    with pytest.raises(WorkshopError, match=r"run notebook 02_dataset\.ipynb again"):
        data.load(path)


def npy(shape, kind="<f4", content=b"", version=(1, 0), length=None):
    """A .npy file that announces that shape. length: what it says of its header's length."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = (len(text) if length is None else length).to_bytes(
        2 if version == (1, 0) else 4, "little"
    )
    return b"\x93NUMPY" + bytes(version) + size + text + content


HOSTILE = {
    "object": npy((3,), "|O", b"cposix\nsystem\n(S'touch executed'\ntR."),
    "strings": npy((2,), "<U2", "ab12".encode("utf-32-le")),
    "complex": npy((1,), "<c8", bytes(8)),
    "4 TB": npy((1_000_000_000_000,), content=bytes(40)),
    "overflow": npy((2**62, 4), content=bytes(40)),
    "negative": npy((-5,), content=bytes(40)),
    "many axes": npy((1,) * 200, content=bytes(4)),
    "long header": npy((3,), version=(2, 0), length=2**32 - 1),
    "deep header": npy("(" * 5000),
    "version 9": npy((3,), version=(9, 0)),
    "short": npy((100,), content=bytes(10)),
    "empty": b"",
    "400 MB": b"a bomb",
    "encrypted": b"a flag",
    "kind 99": b"a compression",
    "pickle": None,
    "one array": None,
}


def write_hostile(path, kind, dataset):
    if kind == "pickle":
        path.write_bytes(pickle.dumps(dataset))
    elif kind == "one array":
        np.save(path.with_suffix(".npy"), dataset.x_train)
        path.with_suffix(".npy").rename(path)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in data.Dataset._fields:
                with archive.open(f"{name}.npy", "w") as member:
                    member.write(npy((100_000_000,)) if kind == "400 MB" else HOSTILE[kind])
                    for _ in range(50 if kind == "400 MB" and name == "x_train" else 0):
                        member.write(bytes(8_000_000))
    if kind in ("encrypted", "kind 99"):
        damaged, offset = bytearray(path.read_bytes()), 8 if kind == "encrypted" else 10
        damaged[path.read_bytes().index(b"PK\1\2") + offset] = 1 if kind == "encrypted" else 99
        path.write_bytes(damaged)


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("hostile")
    for kind in HOSTILE:
        write_hostile(folder / f"{kind}.npz", kind, dataset)
    return folder


@pytest.fixture(scope="module")
def refused(hostile_folder):
    return refusals("from workshop_utils import data", "data.load(path)", hostile_folder)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_dataset_is_refused_in_one_sentence(refused, kind):
    said = refused.of(f"{kind}.npz", most_megabytes=200)
    assert "run notebook 02_dataset.ipynb again" in said and "\n" not in said


def test_a_hostile_dataset_runs_nothing(refused, hostile_folder):
    assert {path.stem for path in hostile_folder.iterdir()} == set(HOSTILE)


def test_other_kinds_of_numbers_are_numbers(tmp_path, dataset):
    path = tmp_path / "dataset.npz"
    np.savez_compressed(path, **{k: v.astype(np.float64) for k, v in dataset._asdict().items()})
    assert all(map(np.array_equal, data.load(path), dataset))
