/* BATCH_MATMUL, int8. */
#include "tidepool_arithmetic.h"
#include "tidepool_dense.h"

static int8_t *multiply(const tidepool_batch_matmul_params *p, const int8_t *input_1,
                        const int8_t *input_2, int8_t *output)
{
    for (int32_t i = 0; i < p->rows; ++i) {
        for (int32_t j = 0; j < p->columns; ++j) {
            const int8_t *a = &input_1[i * p->row_stride_1];
            const int8_t *b = &input_2[j * p->column_stride_2];
            int32_t sum = 0;
            for (int32_t k = 0; k < p->depth; ++k) {
                sum += (a[k * p->depth_stride_1] - p->zero_point_1) *
                       (b[k * p->depth_stride_2] - p->zero_point_2);
            }
            sum = tidepool_requantize(sum, p->multiplier, p->shift) + p->output_zero_point;
            *output++ = (int8_t)tidepool_clamp(sum, INT8_MIN, INT8_MAX);
        }
    }
    return output;
}

TIDEPOOL_KERNEL
void tidepool_batch_matmul(const tidepool_batch_matmul_params *params, const int8_t *input_1,
                           const int8_t *input_2, int8_t *output)
{
    const int32_t *strides_1 = params->batch_strides_1;
    const int32_t *strides_2 = params->batch_strides_2;
    for (int32_t x = 0; x < params->batches[0]; ++x) {
        for (int32_t y = 0; y < params->batches[1]; ++y) {
            for (int32_t z = 0; z < params->batches[2]; ++z) {
                const int32_t place_1 = x * strides_1[0] + y * strides_1[1] + z * strides_1[2];
                const int32_t place_2 = x * strides_2[0] + y * strides_2[1] + z * strides_2[2];
                output = multiply(params, &input_1[place_1], &input_2[place_2], output);
            }
        }
    }
}
