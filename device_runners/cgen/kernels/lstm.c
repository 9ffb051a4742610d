/* UNIDIRECTIONAL_SEQUENCE_LSTM: int8 input and hidden state, int16 cell state. */
#include "tidepool_dot.h"
#include "tidepool_int16.h"
#include "tidepool_recurrent.h"

/* The sum of a gate for one unit, in Q3.12; each of its two parts saturates. */
static int32_t gate(const tidepool_lstm_params *p, const tidepool_lstm_gate *g, int32_t unit,
                    const int8_t *input, const int8_t *hidden)
{
    const int8_t *weights = &g->input_weights[unit * p->input_size];
    int32_t sum = tidepool_dot(weights, input, p->input_size, g->input_bias[unit]);
    sum = tidepool_short_requantize(sum, g->input_multiplier, g->input_shift);
    const int32_t part = tidepool_saturate_int16(sum);

    weights = &g->recurrent_weights[unit * p->units];
    sum = tidepool_dot(weights, hidden, p->units, g->recurrent_bias[unit]);
    sum = tidepool_short_requantize(sum, g->recurrent_multiplier, g->recurrent_shift);
    return tidepool_saturate_int16(sum + part);
}

static int32_t new_cell(const tidepool_lstm_params *p, int32_t unit, const int8_t *input,
                        const int8_t *hidden, int32_t cell)
{
    const int32_t forget =
        tidepool_logistic_q15(gate(p, &p->forget_gate, unit, input, hidden));
    const int32_t update = tidepool_tanh_q15(gate(p, &p->cell_gate, unit, input, hidden), 3);
    const int32_t take =
        p->coupled ? INT16_MAX - forget
                   : tidepool_logistic_q15(gate(p, &p->input_gate, unit, input, hidden));
    /* Q0.15 times Q0.15 is Q0.30; the cell has 15 - cell_bits fraction bits. */
    const int32_t kept = tidepool_short_rounding_shift(forget * cell, 15);
    const int32_t added = tidepool_short_rounding_shift(take * update, 15 + p->cell_bits);
    const int32_t sum = tidepool_saturate_int16(kept + added);
    return (p->cell_clip > 0) ? tidepool_clamp(sum, -p->cell_clip, p->cell_clip) : sum;
}

static void step(const tidepool_lstm_params *p, const int8_t *input, const int8_t *hidden,
                 int16_t *cell, int8_t *output)
{
    for (int32_t unit = 0; unit < p->units; ++unit) {
        const int32_t state = new_cell(p, unit, input, hidden, cell[unit]);
        const int32_t emit =
            tidepool_logistic_q15(gate(p, &p->output_gate, unit, input, hidden));
        const int32_t value =
            tidepool_short_requantize(emit * tidepool_tanh_q15(state, p->cell_bits),
                                      p->hidden_multiplier, p->hidden_shift);
        cell[unit] = (int16_t)state;
        output[unit] = (int8_t)tidepool_clamp(value + p->hidden_zero_point, INT8_MIN, INT8_MAX);
    }
}

TIDEPOOL_KERNEL
void tidepool_lstm(const tidepool_lstm_params *params, const int8_t *input, int8_t *output,
                   int8_t *hidden, int16_t *cell)
{
    const int32_t units = params->units;
    for (int32_t b = 0; b < params->batches; ++b) {
        for (int32_t t = 0; t < params->steps; ++t) {
            const int32_t place = b * params->batch_stride + t * params->step_stride;
            int8_t *result = &output[place * units];
            step(params, &input[place * params->input_size], &hidden[b * units],
                 &cell[b * units], result);
            /* Only now: every unit reads what all of them hid before. */
            tidepool_copy_bytes(&hidden[b * units], result, units);
        }
    }
}
