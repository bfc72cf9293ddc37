# A Cortex-M33 with the DSP extension, whose instructions a Cortex-M4 has too, and with the
# single-precision FPU. The code stays in the Secure state, in which the core starts.
set(gcc_options "-mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16")
# Zig's name for the core leaves both out.
set(zig_options "-target thumb-freestanding-eabihf -mcpu=cortex_m33+dsp+fp_armv8d16sp")
set(zig_link_options -nostdlib)
