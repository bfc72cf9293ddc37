set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_CXX_COMPILER_FORCED TRUE)
set(CMAKE_CXX_COMPILER_ID GNU)
# Cortex-M0 and Cortex-M0+ have the same instructions; what they lack is in libgcc.
set(CMAKE_CXX_FLAGS_INIT
    "-mcpu=cortex-m0 -mthumb -mfloat-abi=soft -fno-unwind-tables -fno-asynchronous-unwind-tables -fno-use-cxa-atexit")
set(FREESTANDING_LINK_OPTIONS -nostdlib -nostartfiles)
set(FREESTANDING_LIBRARIES gcc)
