"""The dataset: make it, split it, save it, load it. Introduced in notebook 02."""

import io
import math
import zipfile
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workshop_utils import files, paths
from workshop_utils.errors import WorkshopError, require_int

MIN_SAMPLES = 10
MAX_SAMPLES = 1_000_000
MAX_INPUTS = 64  # as many as the firmware's sweep gives a model
_MOST_BYTES = 8 * MAX_SAMPLES + 1024  # of an array in a file, in whatever format
MAX_NOISE = 10  # ten times the sine itself
TOLERANCE = 0.01  # The most by which the error of a model that draws a sine exceeds the noise's.

Array = npt.NDArray[np.float32]


class Dataset(NamedTuple):
    """Six float32 arrays: x of shape (n,), or (n, inputs) for several, and y of shape (n,).

    Of the course's sine, x is in radians and y without a unit.
    """

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    x_validate: Array
    y_validate: Array


def check_pair(x: npt.ArrayLike, y: npt.ArrayLike, names: str = "x and y") -> tuple[Array, Array]:
    """Return x and y as float32 arrays: x of shape (n,) or (n, inputs), y of shape (n,).

    Raises WorkshopError if they are empty, of different lengths, of other shapes, or contain a
    value that is not a finite number.
    """
    x, y = (np.asarray(array, dtype=np.float32) for array in (x, y))
    if x.ndim not in (1, 2) or y.ndim != 1 or len(x) != len(y):
        raise WorkshopError(
            f"{names} must be one-dimensional and equally long, or have the shapes (n, inputs) and "
            f"(n,), but have {x.shape} and {y.shape}."
        )
    if x.size == 0:
        raise WorkshopError(f"{names} are empty: there is nothing to learn from.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise WorkshopError(f"{names} contain NaN or infinity; remove those samples first.")
    return x, y


def make(samples: int, noise: float, seed: int) -> tuple[Array, Array]:
    """Noisy samples of the sine: x uniform in [0, 2π), in random order, y = sin(x) + noise.

    samples: how many, an integer in [10, 1,000,000]. noise: standard deviation of the Gaussian
    noise, in [0, 10]. seed: an integer, at least 0; the same seed gives the same samples.
    Returns x and y, float32, shape (samples,). Raises WorkshopError for anything else.
    """
    check_parameters(samples, noise, seed)
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 2 * np.pi, samples).astype(np.float32)
    rng.shuffle(x)
    y = np.sin(x) + noise * rng.standard_normal(samples)
    return x, y.astype(np.float32)


def check_parameters(samples: Any, noise: Any, seed: Any) -> None:
    """Raise WorkshopError, naming SAMPLES, NOISE or SEED, unless `make` can work with them."""
    require_int("SAMPLES", samples, MIN_SAMPLES, MAX_SAMPLES)
    check_seed(seed)
    if isinstance(noise, bool) or not isinstance(noise, Real) or not 0 <= float(noise) <= MAX_NOISE:
        raise WorkshopError(f"NOISE is {noise!r}, but must be a number from 0 to {MAX_NOISE}.")


def check_seed(seed: Any) -> None:
    """Raise WorkshopError unless `seed` is one that NumPy and Keras take."""
    require_int("SEED", seed, 0, 2**32 - 1)


def noise_floor(x: Array, y: Array) -> float:
    """The mean squared error of a perfect model on samples: what their noise makes of it.

    x, y: shape (n,).
    """
    return float(np.mean((y - np.sin(x)) ** 2))


def draws_a_sine(error: float, floor: float) -> bool:
    """Whether a model with this mean squared error has learned the sine: it has at most TOLERANCE
    more than a perfect one, whose error is `floor`.
    """
    return bool(error <= floor + TOLERANCE)


def split(x: npt.ArrayLike, y: npt.ArrayLike, train: float = 0.6, test: float = 0.2) -> Dataset:
    """Cut samples into three sets: the first `train` of them, the next `test`, and the rest.

    x: shape (n,) or (n, inputs). y: shape (n,). train, test: shares in (0, 1); what they leave is
    for validation.
    Returns a Dataset. Raises WorkshopError if the shares leave one of the sets empty.
    """
    x, y = check_pair(x, y)
    train_end = int(train * y.size)
    test_end = int(test * y.size) + train_end
    if not 0 < train_end < test_end < y.size:
        raise WorkshopError(
            f"Shares of {train:.0%} for training and {test:.0%} for testing leave one of the three "
            f"sets empty, or more than everything, with {y.size} samples."
        )
    parts = zip(np.split(x, [train_end, test_end]), np.split(y, [train_end, test_end]), strict=True)
    return Dataset(*(array for part in parts for array in part))


def save(dataset: Dataset, path: Path | None = None) -> Path:
    """Write a Dataset to `path` (default: models/dataset.npz), all of it or nothing."""
    path = path or paths.DATASET
    with files.replacing(path) as temporary:
        np.savez(temporary, **dataset._asdict())
    return path


def load(path: Path | None = None) -> Dataset:
    """Read the Dataset that notebook 02 wrote.

    Raises MissingArtifact if it is not there, WorkshopError if it is not a dataset.
    """
    path = paths.require(path or paths.DATASET)
    try:
        with zipfile.ZipFile(path) as archive:
            dataset = Dataset(*(_array(archive, f"{name}.npy") for name in Dataset._fields))
    except Exception as error:  # zipfile, its decompressors and NumPy raise many kinds.
        raise WorkshopError(
            f"{paths.display_path(path)} is damaged or not a dataset of this course; "
            "run notebook 02_dataset.ipynb again."
        ) from error
    for part in ("train", "test", "validate"):
        check_pair(
            getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}"), f"x_{part} and y_{part}"
        )
    return dataset


def _array(archive: zipfile.ZipFile, name: str) -> Array:
    """An array of numbers that a .npz holds, float32. Raises ValueError, among others, before it
    takes more memory than the largest dataset does, whatever the file says.
    """
    if archive.getinfo(name).file_size > _MOST_BYTES:
        raise ValueError(name)
    with archive.open(name) as member:
        content = io.BytesIO(member.read(_MOST_BYTES))
    major, _ = np.lib.format.read_magic(content)
    read_header = {
        1: np.lib.format.read_array_header_1_0,
        2: np.lib.format.read_array_header_2_0,
    }[major]
    shape, _, dtype = read_header(content)
    if dtype.kind not in "fiu" or math.prod(shape) * dtype.itemsize > _MOST_BYTES:
        raise ValueError(name)
    content.seek(0)
    return np.lib.format.read_array(content, allow_pickle=False).astype(np.float32)
