"""The engine's limits, read from its header."""

import pytest

from workshop_utils.device import limits
from workshop_utils.errors import WorkshopError


@pytest.fixture
def in_file(tmp_path, monkeypatch):
    """f(text): limits.h says this."""
    monkeypatch.setattr(limits, "_FILE", tmp_path / "limits.h")
    limits._constants.cache_clear()
    yield (tmp_path / "limits.h").write_text
    limits._constants.cache_clear()


def test_limits_are_the_headers(in_file):
    in_file("constexpr uint32_t kMostValues = 7;\nconstexpr uint32_t kActivationTanh = 4;  // x\n")
    assert limits.most_values() == 7 and limits.activations() == {4}
    with pytest.raises(WorkshopError, match=r"limits\.h is damaged: .* kMultiplierBytes\.$"):
        limits.multiplier_bytes()


def test_a_header_that_is_missing(in_file):
    with pytest.raises(WorkshopError, match=r"^Cannot read .*limits\.h"):
        limits.most_values()
