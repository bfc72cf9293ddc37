# Cortex-M0 and Cortex-M0+ have the same instructions; what they lack is in libgcc.
set(core "-mcpu=cortex-m0 -mfloat-abi=soft")
include(${CMAKE_CURRENT_LIST_DIR}/gcc.cmake)
