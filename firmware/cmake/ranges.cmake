# What the application goes through and what its LED shows, for any board: by default one turn of the
# sine. `workshop firmware build` decides it by the model, or by measurements. Sets `ranges`.

set(INPUT_FROM 0 CACHE STRING "The first input")
set(INPUT_TO 6.28318530717958647692 CACHE STRING "Where inputs end; never reached itself")
set(OUTPUT_FROM -1 CACHE STRING "The output for which the LED is dark")
set(OUTPUT_TO 1 CACHE STRING "The output for which the LED is brightest")
set(ranges INPUT_FROM=${INPUT_FROM} INPUT_TO=${INPUT_TO}
    OUTPUT_FROM=${OUTPUT_FROM} OUTPUT_TO=${OUTPUT_TO})
