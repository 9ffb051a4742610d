"""Model in, model out: load, quantize, convert to TFLite, and read a TFLite graph."""
