/* FULLY_CONNECTED, int8, one factor for all output channels or one for each: a row by eight output
 * channels at a time. */
#include "tidepool_dense.h"
#include "tidepool_scalar.h"

#define EIGHT 8

/* The outputs of `count` sums. */
static void finish_row(const tidepool_channels *c, const int32_t *factors, const int32_t *sums,
                       int32_t count, int8_t *output)
{
    for (int32_t i = 0; i < count; ++i) {
        output[i] = tidepool_finish_either(sums[i], factors, c->general);
        factors += c->factor_step;
    }
}

/* One row; `correction` goes into every sum. */
static void run_row(const tidepool_fully_connected_params *p, const int8_t *row,
                    int32_t correction, int8_t *output)
{
    const tidepool_channels *c = &p->channels;
    const int8_t *weights = c->weights;
    const int32_t depth = p->input_depth;
    int32_t size = EIGHT;
    for (int32_t done = 0; done < p->output_depth; done += size) {
        const int32_t left = p->output_depth - done;
        size = (left >= EIGHT) ? EIGHT : (left >= TIDEPOOL_FOUR) ? TIDEPOOL_FOUR
                                     : (left >= 2)               ? 2
                                                                 : 1;
        int32_t sums[EIGHT];
        for (int32_t i = 0; i < size; ++i) {
            sums[i] = c->starts[done + i] + correction;
        }
        if (size == EIGHT) {
            tidepool_add_eight(row, weights, depth, sums);
        } else if (size == TIDEPOOL_FOUR) {
            tidepool_add_row(row, weights, depth, sums);
        } else {
            /* A single channel counts as two. */
            sums[size - 1] = c->starts[done + size - 1] + correction;
            tidepool_add_products(row, weights, weights + (size - 1) * depth, depth, sums);
        }
        weights += size * depth;
        finish_row(c, c->factors + done * c->factor_step, sums, size, output + done);
    }
    tidepool_clamp_all(output, p->output_depth, c->output_min, c->output_max);
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
        run_row(params, input, -sum * params->weights_zero_point, output);
        input += params->input_depth;
        output += params->output_depth;
    }
}
