/* RESIZE_BILINEAR, int16. */
#include "tidepool_arithmetic.h"
#include "tidepool_16x8.h"

#define ONE 1024 /* weights are in 1/1024 */

/* Rounds to nearest, ties away from zero. */
static int16_t blend(const int16_t *above, const int16_t *below, int32_t left, int32_t right,
                     int32_t down, int32_t across)
{
    const int32_t top = above[left] * (ONE - across) + above[right] * across;
    const int32_t bottom = below[left] * (ONE - across) + below[right] * across;
    const int64_t sum = (int64_t)top * (ONE - down) + (int64_t)bottom * down;
    const int64_t half = (INT64_C(1) << 19) - ((sum < 0) ? 1 : 0);
    return (int16_t)tidepool_asr(sum + half, 20);
}

TIDEPOOL_KERNEL
void tidepool_resize_bilinear_int16(const tidepool_resize_bilinear_params *params, const int16_t *input,
                                    int16_t *output)
{
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t y = 0; y < params->output_height; ++y) {
            const int32_t *row = &params->rows[3 * y];
            for (int32_t x = 0; x < params->output_width; ++x) {
                const int32_t *column = &params->columns[3 * x];
                for (int32_t c = 0; c < params->channels; ++c) {
                    *output++ = blend(&input[row[0] + c], &input[row[1] + c], column[0],
                                      column[1], row[2], column[2]);
                }
            }
        }
        input += params->input_size;
    }
}
