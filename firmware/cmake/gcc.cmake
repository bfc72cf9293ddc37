# arm-none-eabi-gcc for the board's core, a Cortex-M.
include(${CMAKE_CURRENT_LIST_DIR}/board.cmake)
if(NOT gcc_options)
  message(FATAL_ERROR "arm-none-eabi-gcc compiles for microcontrollers, and '${BOARD}' is none.")
endif()
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_CXX_COMPILER_FORCED TRUE)
set(CMAKE_CXX_COMPILER_ID GNU)
set(CMAKE_CXX_FLAGS_INIT
    "${gcc_options} -mthumb -fno-unwind-tables -fno-asynchronous-unwind-tables -fno-use-cxa-atexit")
set(FREESTANDING_LINK_OPTIONS -nostdlib -nostartfiles)
set(FREESTANDING_LIBRARIES gcc)
