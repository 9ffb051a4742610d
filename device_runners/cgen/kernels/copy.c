/* CONCATENATION and RESHAPE, int8: moves rows of bytes. */
#include "tidepool_moves.h"

#include <string.h>

TIDEPOOL_KERNEL
void tidepool_copy(const tidepool_copy_params *params, const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < params->rows; ++row) {
        memcpy(output, input, (size_t)params->input_stride);
        input += params->input_stride;
        output += params->output_stride;
    }
}
