/* Dense layers: what the portable kernels for weights of 8 and of 4 bits have in common. */
#ifndef TIDEPOOL_DENSE_ROWS_H
#define TIDEPOOL_DENSE_ROWS_H

#include "tidepool_dense.h"
#include "tidepool_quads.h"

#define TIDEPOOL_EIGHT 8

/* The sums of a row. */
typedef void tidepool_row_function(const tidepool_row *row, const uint32_t *quads, int32_t taps,
                                   const int32_t *starts, int32_t *sums);

/* How weights are packed by fours of channels. */
typedef struct {
    int32_t zero_point; /* what was added to them */
    int32_t word_taps;
    tidepool_row_function *row_by_eight;
    tidepool_row_function *row_by_four;
} tidepool_row_kind;

/* The outputs of `count` sums. */
static inline void tidepool_finish_sums(const tidepool_channels *c, const int32_t *factor,
                                        const int32_t *sums, int32_t count, int8_t *output)
{
    const int32_t factor_step = c->factor_step;
    const int8_t *const end = output + count;
    if (c->general) {
        for (; output != end; ++output) {
            *output = tidepool_finish_general(*sums++, factor);
            factor += factor_step;
        }
        return;
    }
    for (; output != end; ++output) {
        *output = tidepool_finish(*sums++, factor[0], factor[1], factor[2]);
        factor += factor_step;
    }
}

/* One row: output channels by eight and four, then those that are left by two, of which a single
 * one counts as two. */
static inline void tidepool_run_row(const tidepool_fully_connected_params *p,
                                    const tidepool_row_kind *kind, const int8_t *x,
                                    int8_t *output)
{
    const tidepool_channels *c = &p->channels;
    const uint32_t *quads = p->quads;
    const int8_t *rest = p->rest;
    const int32_t depth = p->input_depth;
    const int32_t words = (depth + kind->word_taps - 1) / kind->word_taps;
    const int32_t total = tidepool_sum_bytes(x, depth);
    const int32_t added = kind->zero_point + p->weights_zero_point;
    const tidepool_row row = {x, (int32_t)((uint32_t)total * (uint32_t)added)};
    int32_t channel = 0;
    while (channel < p->output_depth) {
        const int32_t left = p->output_depth - channel;
        const int32_t *starts = c->starts + channel;
        int32_t sums[TIDEPOOL_EIGHT];
        int32_t size = TIDEPOOL_EIGHT;
        if (left >= TIDEPOOL_EIGHT) {
            kind->row_by_eight(&row, quads, depth, starts, sums);
            quads += 2 * words;
        } else if (left >= TIDEPOOL_FOUR) {
            size = TIDEPOOL_FOUR;
            kind->row_by_four(&row, quads, depth, starts, sums);
            quads += words;
        } else {
            size = (left > 1) ? 2 : 1;
            sums[0] = starts[0] - total * p->weights_zero_point;
            sums[1] = starts[size - 1] - total * p->weights_zero_point;
            tidepool_add_products(x, rest, rest + (size - 1) * depth, depth, sums);
            rest += size * depth;
        }
        tidepool_finish_sums(c, c->factors + channel * c->factor_step, sums, size,
                             output + channel);
        channel += size;
    }
}

/* A layer. */
static inline void tidepool_run_dense(const tidepool_fully_connected_params *params,
                                      const tidepool_row_kind *kind, const int8_t *input,
                                      int8_t *output)
{
    for (int32_t b = 0; b < params->batches; ++b) {
        tidepool_run_row(params, kind, input + b * params->input_depth,
                output + b * params->output_depth);
    }
    tidepool_clamp_all(output, params->batches * params->output_depth,
                       params->channels.output_min, params->channels.output_max);
}

#endif /* TIDEPOOL_DENSE_ROWS_H */
