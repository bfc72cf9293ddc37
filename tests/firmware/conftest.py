"""What the firmware's test files share: each board's images, built once."""

import pytest
import qemu

from workshop_utils import firmware
from workshop_utils.paths import Home


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A function: the Image for a board, built once; its wave has 40 inferences."""
    home, images = Home(tmp_path_factory.mktemp("home")), {}

    def once(board, toolchain="zig"):
        if toolchain == "gcc":
            qemu.require("arm-none-eabi-g++")
        if (board, toolchain) not in images:
            images[board, toolchain] = firmware.build(
                board, toolchain=toolchain, inferences_per_cycle=40, cycles=1, home=home
            )
        return images[board, toolchain]

    return once
