include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
# The firmware uses no C++ library, and Zig would build its own at the first link.
# It also builds its own debug run-time, unless told to optimize and to leave that out.
set(FREESTANDING_LINK_OPTIONS -nostdlib++ -rtlib=none -O2)
