/* RESIZE_BILINEAR, int8. */
#include "tidepool_arithmetic.h"
#include "tidepool_images.h"

#define ONE 1024 /* weights are in 1/1024 */

/* The four weights sum up to 2^20, and none is above 2.25 * 2^20: 32 bits are enough. */
static int8_t blend(const int8_t *above, const int8_t *below, int32_t left, int32_t right,
                    int32_t down, int32_t across)
{
    const int32_t top = above[left] * (ONE - across) + above[right] * across;
    const int32_t bottom = below[left] * (ONE - across) + below[right] * across;
    return (int8_t)tidepool_rounding_shift(top * (ONE - down) + bottom * down, 20);
}

TIDEPOOL_KERNEL
void tidepool_resize_bilinear(const tidepool_resize_bilinear_params *params, const int8_t *input,
                              int8_t *output)
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
