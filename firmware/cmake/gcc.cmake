# arm-none-eabi-gcc for any Cortex-M. A core's own file sets `core` to its options.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_CXX_COMPILER_FORCED TRUE)
set(CMAKE_CXX_COMPILER_ID GNU)
set(CMAKE_CXX_FLAGS_INIT
    "${core} -mthumb -fno-unwind-tables -fno-asynchronous-unwind-tables -fno-use-cxa-atexit")
set(FREESTANDING_LINK_OPTIONS -nostdlib -nostartfiles)
set(FREESTANDING_LIBRARIES gcc)
