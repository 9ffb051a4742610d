/* SPACE_TO_BATCH_ND, int8, images. */
#include "tidepool_arithmetic.h"
#include "tidepool_moves.h"

/* Every step-th pixel of a row from column `x` on; those beside the row are padding. */
static int8_t *take_row(const tidepool_space_to_batch_params *p, const int8_t *row, int32_t x,
                        int8_t *output)
{
    for (int32_t i = 0; i < p->output_width; ++i) {
        if (row == NULL || x < 0 || x >= p->width) {
            tidepool_fill_bytes(output, p->value, p->channels);
        } else {
            tidepool_copy_bytes(output, row + x * p->channels, p->channels);
        }
        output += p->channels;
        x += p->block_width;
    }
    return output;
}

TIDEPOOL_KERNEL
void tidepool_space_to_batch(const tidepool_space_to_batch_params *params, const int8_t *input,
                             int8_t *output)
{
    const tidepool_space_to_batch_params *p = params;
    const int32_t row_bytes = p->width * p->channels;
    for (int32_t place = 0; place < p->block_height * p->block_width; ++place) {
        for (int32_t b = 0; b < p->batches; ++b) {
            const int8_t *const image = input + b * p->height * row_bytes;
            int32_t y = place / p->block_width - p->pad_top;
            for (int32_t i = 0; i < p->output_height; ++i) {
                const int8_t *const row = (y < 0 || y >= p->height) ? NULL : image + y * row_bytes;
                output = take_row(p, row, place % p->block_width - p->pad_left, output);
                y += p->block_height;
            }
        }
    }
}
