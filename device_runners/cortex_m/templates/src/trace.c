#include "trace.h"

#include "semihosting.h"

enum { EXIT_CODE_TRACE = 2 };

static int32_t file;
static uint32_t current_sample;

int trace_open(void)
{
    file = semihosting_open("trace.bin", SEMIHOSTING_WRITE_BINARY);
    return file < 0;
}

void trace_sample(uint32_t sample)
{
    current_sample = sample;
}

void trace_close(void)
{
    (void)semihosting_close(file);
}

void tidepool_trace(uint32_t tensor_index, const void *data, uint32_t bytes)
{
    const uint32_t header[3] = {current_sample, tensor_index, bytes};
    if (semihosting_write(file, header, (uint32_t)sizeof(header)) != 0u ||
        semihosting_write(file, data, bytes) != 0u) {
        semihosting_print("ERROR can't write trace.bin\n");
        semihosting_exit(EXIT_CODE_TRACE);
    }
}
