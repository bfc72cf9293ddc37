# The core of this computer, whatever it is.
# The firmware uses no C++ library, and Zig would build its own at the first link.
# It also builds its own debug run-time, unless told to optimize and to leave that out.
set(zig_link_options -nostdlib++ -rtlib=none -O2)
