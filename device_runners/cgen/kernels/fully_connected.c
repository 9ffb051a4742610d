/* FULLY_CONNECTED, int8, one factor for all output channels or one for each: a row by eight output
 * channels at a time. */
#include "tidepool_dense.h"
#include "tidepool_scalar.h"

#define EIGHT 8

/* The outputs of `count` sums. */
static void finish_sums(const tidepool_channels *c, const int32_t *factor, const int32_t *sums,
                        int32_t count, int32_t correction, int8_t *output)
{
    const int32_t factor_step = c->factor_step;
    const int8_t *const end = output + count;
    if (c->general) {
        for (; output != end; ++output) {
            *output = tidepool_finish_general(*sums++ + correction, factor);
            factor += factor_step;
        }
        return;
    }
    for (; output != end; ++output) {
        *output = tidepool_finish(*sums++ + correction, factor[0], factor[1], factor[2]);
        factor += factor_step;
    }
}

/* One row; `correction` goes into every sum. */
static void run_row(const tidepool_fully_connected_params *p, const int8_t *row,
                    int32_t correction, int8_t *output)
{
    const tidepool_channels *c = &p->channels;
    const int8_t *weights = c->weights;
    const int32_t *starts = c->starts;
    const int32_t *factor = c->factors;
    const int32_t depth = p->input_depth;
    int32_t left = p->output_depth;
    while (left > 0) {
        int32_t sums[EIGHT];
        int32_t size = EIGHT;
        if (left >= EIGHT) {
            tidepool_row_by_eight(row, weights, depth, starts, sums);
        } else if (left >= TIDEPOOL_FOUR) {
            size = TIDEPOOL_FOUR;
            tidepool_row_by_four(row, weights, depth, starts, sums);
        } else {
            /* A single channel counts as two. */
            size = (left > 1) ? 2 : 1;
            sums[0] = starts[0];
            sums[1] = starts[size - 1];
            tidepool_add_products(row, weights, weights + (size - 1) * depth, depth, sums);
        }
        finish_sums(c, factor, sums, size, correction, output);
        output += size;
        factor += size * c->factor_step;
        weights += size * depth;
        starts += size;
        left -= size;
    }
}

TIDEPOOL_KERNEL
void tidepool_fully_connected(const tidepool_fully_connected_params *params, const int8_t *input,
                              int8_t *output)
{
    for (int32_t b = 0; b < params->batches; ++b) {
        int32_t sum = 0;
        if (params->weights_zero_point != 0) {
            for (int32_t d = 0; d < params->input_depth; ++d) {
                sum += input[d];
            }
        }
        run_row(params, input, -sum * params->weights_zero_point,
                output + b * params->output_depth);
        input += params->input_depth;
    }
    tidepool_clamp_all(output, params->batches * params->output_depth,
                       params->channels.output_min, params->channels.output_max);
}
