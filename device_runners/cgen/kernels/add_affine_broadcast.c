/* ADD and SUB with broadcasting, int8: a multiplication for each operand, one sum, one shift. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

static inline int8_t add(const tidepool_add_affine_broadcast_params *p, int32_t a, int32_t b)
{
    return tidepool_saturate(a * p->factor_1 + p->addend + b * p->factor_2, p->shift);
}

/* A row of the innermost dimension; steps of 0 or 1, known to the compiler. */
static inline void add_row(const tidepool_add_affine_broadcast_params *params, const int8_t *a,
                           const int8_t *b, int8_t *output, int32_t step_1, int32_t step_2)
{
    const tidepool_add_affine_broadcast_params p = *params;
    int32_t left = p.broadcast.sizes[TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1];
    for (; left >= 2; left -= 2) {
        const int8_t first = add(&p, a[0], b[0]);
        output[1] = add(&p, a[step_1], b[step_2]);
        output[0] = first;
        a += 2 * step_1;
        b += 2 * step_2;
        output += 2;
    }
    if (left > 0) {
        *output = add(&p, *a, *b);
    }
}

TIDEPOOL_KERNEL
void tidepool_add_affine_broadcast(const tidepool_add_affine_broadcast_params *params,
                                   const int8_t *input_1, const int8_t *input_2, int8_t *output)
{
    const tidepool_broadcast *s = &params->broadcast;
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    tidepool_broadcast_place place = {{0}, 0, 0};
    int8_t *row = output;
    do {
        const int8_t *const a = input_1 + place.offset_1;
        const int8_t *const b = input_2 + place.offset_2;
        if (s->strides_1[last] == 0) {
            add_row(params, a, b, row, 0, 1);
        } else if (s->strides_2[last] == 0) {
            add_row(params, a, b, row, 1, 0);
        } else {
            add_row(params, a, b, row, 1, 1);
        }
        row += s->sizes[last];
    } while (tidepool_next_row(s, &place) != 0);
    tidepool_clamp_all(output, (int32_t)(row - output), params->output_min, params->output_max);
}
