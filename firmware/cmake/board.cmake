# What the folder of a board says to CMake: its core, its sources and its linker script.
set(BOARD emulator CACHE STRING "A folder of boards/")
cmake_path(SET board_folder NORMALIZE ${CMAKE_CURRENT_LIST_DIR}/../boards/${BOARD})
if(NOT EXISTS ${board_folder}/board.cmake)
  message(FATAL_ERROR "There is no board '${BOARD}': a board is a folder of boards/ with a board.cmake.")
endif()
include(${board_folder}/board.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/cores/${core}.cmake)
