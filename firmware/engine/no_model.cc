// An engine that has the network, or a function, in itself reads no flatbuffer.

#include "model/model.h"

const unsigned char g_model[] = {0};
const unsigned int g_model_len = 0;
