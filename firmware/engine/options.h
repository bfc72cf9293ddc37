// What a build of an engine leaves out.

#ifndef ENGINE_OPTIONS_H_
#define ENGINE_OPTIONS_H_

// A build without float32 models is smaller.
#ifndef ENGINE_FLOAT32
#define ENGINE_FLOAT32 1
#endif

#endif  // ENGINE_OPTIONS_H_
