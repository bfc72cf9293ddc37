# Zig as C++ compiler for the board's core, from the ziglang Python package: -DZIG=/path/to/zig, or
# found with python.
include(${CMAKE_CURRENT_LIST_DIR}/board.cmake)
if(NOT ZIG)
  execute_process(
    COMMAND python -c "import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / 'zig')"
    OUTPUT_VARIABLE ZIG OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT ZIG)
  message(FATAL_ERROR "Zig was not found: activate the course's .venv, or give -DZIG=/path/to/zig.")
endif()
set(ZIG "${ZIG}" CACHE FILEPATH "The zig program" FORCE)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG)
set(CMAKE_CXX_COMPILER "${ZIG}" c++)
# Zig is a Clang. Finding that out by compiling test programs would take longer than the firmware.
set(CMAKE_CXX_COMPILER_ID_RUN TRUE)
set(CMAKE_CXX_COMPILER_FORCED TRUE)
set(CMAKE_CXX_COMPILER_ID Clang)
set(CMAKE_CXX_COMPILER_FRONTEND_VARIANT GNU)
set(CMAKE_CXX17_STANDARD_COMPILE_OPTION -std=c++17)
set(CMAKE_CXX_STANDARD_COMPUTED_DEFAULT 17)
if(NOT core STREQUAL "host")
  set(CMAKE_SYSTEM_NAME Generic)
  set(CMAKE_SYSTEM_PROCESSOR arm)
  # By the name "undefined", or Zig compiles a run-time library for that at a link, too.
  set(CMAKE_CXX_FLAGS_INIT
      "${zig_options} -fno-unwind-tables -fno-asynchronous-unwind-tables -fno-sanitize=undefined -g0")
endif()
set(FREESTANDING_LINK_OPTIONS ${zig_link_options})
