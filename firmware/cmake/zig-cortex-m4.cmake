set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
# A Cortex-M4 with the single-precision FPU that such chips nearly always have. Zig's name for the
# core leaves the FPU out.
set(CMAKE_CXX_FLAGS_INIT
    "-target thumb-freestanding-eabihf -mcpu=cortex_m4+vfp4d16sp -fno-unwind-tables -fno-asynchronous-unwind-tables -fno-sanitize=all -g0")
# Without the compiler's run-time library, which Zig would compile first: this core needs none of it.
set(FREESTANDING_LINK_OPTIONS -nostdlib)
