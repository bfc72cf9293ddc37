# Cortex-M0 and Cortex-M0+ have the same instructions (ARMv6-M): no FPU, no division, no product of
# 64 bits, and words at addresses that are multiples of four only.
set(gcc_options "-mcpu=cortex-m0 -mfloat-abi=soft")
set(zig_options "-target thumb-freestanding-eabi -mcpu=cortex_m0")
# What the core lacks is in the compiler's run-time library, which Zig compiles from its own sources
# at the first link and keeps.
set(zig_link_options -nostdlib++ -rtlib=compiler-rt -O2)
