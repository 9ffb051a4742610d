/* ADD of two tensors of one shape, int8: a multiplication for each operand, one sum, one shift. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

static inline int8_t add(const tidepool_add_affine_params *p, int32_t a, int32_t b)
{
    return tidepool_saturate(a * p->factor_1 + p->addend + b * p->factor_2, p->shift);
}

TIDEPOOL_KERNEL
void tidepool_add_affine(const tidepool_add_affine_params *params, const int8_t *input_1,
                         const int8_t *input_2, int8_t *output)
{
    const tidepool_add_affine_params p = *params;
    int32_t i = 0;
    for (; i + 4 <= p.count; i += 4) {
        output[i] = add(&p, input_1[i], input_2[i]);
        output[i + 1] = add(&p, input_1[i + 1], input_2[i + 1]);
        output[i + 2] = add(&p, input_1[i + 2], input_2[i + 2]);
        output[i + 3] = add(&p, input_1[i + 3], input_2[i + 3]);
    }
    for (; i < p.count; ++i) {
        output[i] = add(&p, input_1[i], input_2[i]);
    }
    tidepool_clamp_all(output, p.count, p.output_min, p.output_max);
}
