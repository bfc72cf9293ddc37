"""What tests of a run share."""

import pytest

from workshop_utils import paths
from workshop_utils.running import catchup


@pytest.fixture
def reference_home(tmp_path, monkeypatch):
    """The reference artifacts in a folder of their own, as WORKSHOP_HOME would have them."""
    moved = {tmp_path / path.relative_to(paths.HOME): by for path, by in paths.MADE_BY.items()}
    names = ["DATASET", "SMALL_MODEL_TF", "MODEL_TF", "MODEL_NO_QUANT_TFLITE", "MODEL_TFLITE"]
    for name in [*names, "FIRMWARE_MODEL", "FIRMWARE_IMAGES_DIR", "OUTPUT_DIR"]:
        monkeypatch.setattr(paths, name, tmp_path / getattr(paths, name).relative_to(paths.HOME))
    monkeypatch.setattr(paths, "MADE_BY", moved)
    monkeypatch.setattr(paths, "HOME", tmp_path)
    catchup.fill_in("06")
    return tmp_path
