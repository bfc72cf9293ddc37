set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
# Cortex-M0 and Cortex-M0+ have the same instructions (ARMv6-M): no FPU, no division, no product of
# 64 bits, and words at addresses that are multiples of four only.
set(CMAKE_CXX_FLAGS_INIT
    "-target thumb-freestanding-eabi -mcpu=cortex_m0 -fno-unwind-tables -fno-asynchronous-unwind-tables -fno-sanitize=all -g0")
# What the core lacks is in the compiler's run-time library, which Zig compiles from its own sources
# at the first link and keeps.
set(FREESTANDING_LINK_OPTIONS -nostdlib++ -rtlib=compiler-rt -O2)
