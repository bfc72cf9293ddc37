# A Cortex-M4 with the single-precision FPU that such chips nearly always have.
set(gcc_options "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16")
# Zig's name for the core leaves the FPU out.
set(zig_options "-target thumb-freestanding-eabihf -mcpu=cortex_m4+vfp4d16sp")
# Without the compiler's run-time library, which Zig would compile first: this core needs none of it.
set(zig_link_options -nostdlib)
