/*
 * Records of every tensor that an inference computes, for a comparison with the reference.
 *
 * trace.bin is a sequence of records, little-endian:
 *     uint32 sample, uint32 tensor index, uint32 bytes, then the bytes.
 */
#ifndef TRACE_H
#define TRACE_H

#include <stdint.h>

/* Not 0: trace.bin can't be written. */
int trace_open(void);
void trace_sample(uint32_t sample);
void trace_close(void);

/* Called by the generated code, which declares it, when it is compiled with TIDEPOOL_TRACE. */
void tidepool_trace(uint32_t tensor_index, const void *data, uint32_t bytes);

#endif
