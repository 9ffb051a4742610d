/* BATCH_MATMUL, int8: two rows by two columns at a time.
 *
 * Columns are copied to scratch memory, their zero point taken off, as halves; but for the vector
 * extension in the order in which SXTB16 takes bytes apart: of every four 0, 2, 1, 3. Rows are read
 * where they lie, unless their elements lie apart. */
#include "tidepool_dense.h"
#include "tidepool_dsp.h"
#include "tidepool_scalar.h"

#define TWO 2

/* Two rows and two columns. */
typedef struct {
    const int8_t *rows[TWO];
    const int16_t *columns[TWO];
} block;

#if TIDEPOOL_HAS_DSP && !TIDEPOOL_HAS_MVE
static inline uint32_t halves_at(const int16_t *halves)
{
    uint32_t word;
    memcpy(&word, halves, sizeof word);
    return word;
}
#endif

static inline int32_t whole_words(int32_t depth)
{
    return (depth + 3) & -4;
}

/* Copies a column, and zeros up to a whole word. Returns what its sums start with. */
static int32_t copy_column(const tidepool_batch_matmul_params *p, const int8_t *from, int16_t *to)
{
#if TIDEPOOL_HAS_MVE
    static const int8_t order[4] = {0, 1, 2, 3};
#else
    static const int8_t order[4] = {0, 2, 1, 3};
#endif
    const int32_t end = whole_words(p->depth);
    int32_t sum = 0;
    for (int32_t k = 0; k < end; ++k) {
        const int32_t value = (k < p->depth) ? from[k * p->depth_stride_2] - p->zero_point_2 : 0;
        to[(k & -4) + order[k & 3]] = (int16_t)value;
        sum += value;
    }
    return -p->zero_point_1 * sum;
}

/* Four sums of products: of the first row with both columns, and of the second one. */
#if TIDEPOOL_HAS_MVE

static __attribute__((naked, noinline)) void multiply(const block *b __attribute__((unused)),
                                                      int32_t depth __attribute__((unused)),
                                                      int32_t *sums __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n\t"
                     "push          {r4-r11, lr}\n\t"
                     "sub           sp, sp, #4\n\t"
                     "ldmia         r0, {r3, r5, r7, r9}\n\t" /* rows, columns */
                     "ldr           r4, [r2]\n\t"
                     "ldr           r6, [r2, #4]\n\t"
                     "ldr           r8, [r2, #8]\n\t"
                     "ldr           r10, [r2, #12]\n\t"
                     "dlstp.16      lr, r1\n"
                     "1:\n\t"
                     "vldrb.s16     q0, [r3], #8\n\t"
                     "vldrh.u16     q2, [r7], #16\n\t"
                     "vldrb.s16     q1, [r5], #8\n\t"
                     "vmladava.s16  r4, q0, q2\n\t"
                     "vldrh.u16     q3, [r9], #16\n\t"
                     "vmladava.s16  r8, q1, q2\n\t"
                     "vmladava.s16  r6, q0, q3\n\t"
                     "vmladava.s16  r10, q1, q3\n\t"
                     "letp          lr, 1b\n\t"
                     "str           r4, [r2]\n\t"
                     "str           r6, [r2, #4]\n\t"
                     "str           r8, [r2, #8]\n\t"
                     "str           r10, [r2, #12]\n\t"
                     "add           sp, sp, #4\n\t"
                     "pop           {r4-r11, pc}\n");
}

#else

static void multiply(const block *b, int32_t depth, int32_t *sums)
{
    const int8_t *x = b->rows[0];
    const int8_t *y = b->rows[1];
    const int16_t *u = b->columns[0];
    const int16_t *v = b->columns[1];
    uint32_t xu = (uint32_t)sums[0], xv = (uint32_t)sums[1];
    uint32_t yu = (uint32_t)sums[2], yv = (uint32_t)sums[3];
    for (; depth >= 4; depth -= 4) {
#if TIDEPOOL_HAS_DSP
        const uint32_t x_word = tidepool_load_word(x);
        const uint32_t y_word = tidepool_load_word(y);
        const uint32_t x_even = tidepool_sxtb16(x_word), x_odd = tidepool_sxtb16_odd(x_word);
        const uint32_t y_even = tidepool_sxtb16(y_word), y_odd = tidepool_sxtb16_odd(y_word);
        const uint32_t u_even = halves_at(u), u_odd = halves_at(u + 2);
        const uint32_t v_even = halves_at(v), v_odd = halves_at(v + 2);
        xu = tidepool_smlad(x_odd, u_odd, tidepool_smlad(x_even, u_even, xu));
        xv = tidepool_smlad(x_odd, v_odd, tidepool_smlad(x_even, v_even, xv));
        yu = tidepool_smlad(y_odd, u_odd, tidepool_smlad(y_even, u_even, yu));
        yv = tidepool_smlad(y_odd, v_odd, tidepool_smlad(y_even, v_even, yv));
#else
        xu += (uint32_t)(x[0] * u[0] + x[2] * u[1] + x[1] * u[2] + x[3] * u[3]);
        xv += (uint32_t)(x[0] * v[0] + x[2] * v[1] + x[1] * v[2] + x[3] * v[3]);
        yu += (uint32_t)(y[0] * u[0] + y[2] * u[1] + y[1] * u[2] + y[3] * u[3]);
        yv += (uint32_t)(y[0] * v[0] + y[2] * v[1] + y[1] * v[2] + y[3] * v[3]);
#endif
        x += 4, y += 4, u += 4, v += 4;
    }
    for (int32_t k = 0; k < depth; ++k) {
        const int32_t place = (k == 1) ? 2 : k / 2; /* of 0, 1, 2 */
        xu += (uint32_t)(x[k] * u[place]);
        xv += (uint32_t)(x[k] * v[place]);
        yu += (uint32_t)(y[k] * u[place]);
        yv += (uint32_t)(y[k] * v[place]);
    }
    sums[0] = (int32_t)xu, sums[1] = (int32_t)xv;
    sums[2] = (int32_t)yu, sums[3] = (int32_t)yv;
}

#endif

/* A row's elements beside each other: where they lie, or in a copy. */
static const int8_t *row_of(const tidepool_batch_matmul_params *p, const int8_t *from, int8_t *copy)
{
    if (p->depth_stride_1 == 1) {
        return from;
    }
    for (int32_t k = 0; k < p->depth; ++k) {
        copy[k] = from[k * p->depth_stride_1];
    }
    return copy;
}

/* All rows by two columns, which are the same for a last one by itself: `step` is 0 then. */
static void run_columns(const tidepool_batch_matmul_params *p, const int8_t *input,
                        const int16_t *const *columns, const int32_t *starts, int8_t *copies,
                        int8_t *output, int32_t step)
{
    block b = {{NULL, NULL}, {columns[0], columns[1]}};
    for (int32_t i = 0; i < p->rows; i += TWO) {
        const int32_t last = (i + 1 < p->rows) ? 1 : 0;
        int32_t sums[TWO * TWO] = {starts[0], starts[1], starts[0], starts[1]};
        b.rows[0] = row_of(p, input, copies);
        b.rows[1] = row_of(p, input + last * p->row_stride_1, copies + whole_words(p->depth));
        multiply(&b, p->depth, sums);
        int8_t *const next = output + last * p->columns;
        next[step] = tidepool_finish_either(sums[3], p->factor, p->general);
        next[0] = tidepool_finish_either(sums[2], p->factor, p->general);
        output[step] = tidepool_finish_either(sums[1], p->factor, p->general);
        output[0] = tidepool_finish_either(sums[0], p->factor, p->general);
        input += TWO * p->row_stride_1;
        output += TWO * p->columns;
    }
}

/* One product of matrices. */
static void run_matrices(const tidepool_batch_matmul_params *p, const int8_t *input_1,
                         const int8_t *input_2, int8_t *output, uint8_t *scratch)
{
    const int32_t depth = whole_words(p->depth);
    int16_t *const first = (int16_t *)(void *)scratch;
    int16_t *const second = first + depth;
    int8_t *const copies = (int8_t *)(second + depth);
    const int16_t *const columns[TWO] = {first, second};
    for (int32_t j = 0; j < p->columns; j += TWO) {
        const int32_t last = (j + 1 < p->columns) ? 1 : 0;
        const int8_t *const column = input_2 + j * p->column_stride_2;
        const int32_t starts[TWO] = {copy_column(p, column, first),
                                     copy_column(p, column + last * p->column_stride_2, second)};
        run_columns(p, input_1, columns, starts, copies, output + j, last);
    }
}

TIDEPOOL_KERNEL
void tidepool_batch_matmul(const tidepool_batch_matmul_params *params, const int8_t *input_1,
                           const int8_t *input_2, int8_t *output, uint8_t *scratch)
{
    const int32_t *strides_1 = params->batch_strides_1;
    const int32_t *strides_2 = params->batch_strides_2;
    for (int32_t x = 0; x < params->batches[0]; ++x) {
        for (int32_t y = 0; y < params->batches[1]; ++y) {
            for (int32_t z = 0; z < params->batches[2]; ++z) {
                const int32_t place_1 = x * strides_1[0] + y * strides_1[1] + z * strides_1[2];
                const int32_t place_2 = x * strides_2[0] + y * strides_2[1] + z * strides_2[2];
                run_matrices(params, input_1 + place_1, input_2 + place_2, output, scratch);
                output += params->rows * params->columns;
            }
        }
    }
}
