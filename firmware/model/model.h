// The model that the firmware carries, as notebook 06 writes it into model.cc.

#ifndef MODEL_MODEL_H_
#define MODEL_MODEL_H_

// A TensorFlow Lite flatbuffer, aligned to 16 bytes because it is read in place.
extern const unsigned char g_model[];

// Its length in bytes.
extern const unsigned int g_model_len;

#endif  // MODEL_MODEL_H_
