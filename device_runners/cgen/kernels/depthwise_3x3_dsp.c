/* DEPTHWISE_CONV_2D, int8, 3x3 with strides of 1 or 2, for cores with the DSP extension.
 *
 * Four channels at a time, two rows of the output at a time. The input's rows are packed by twos
 * into a plane for each channel: a word holds two rows' values of one column, so that one SMLAD is
 * two taps. Two planes (four rows) give two rows of results, two columns by two in one step:
 *     upper row = upper plane (w0, w1) + lower plane's upper half * w2
 *     lower row = upper plane's lower half * w0 + lower plane (w1, w2)
 * With strides of 2 there is only the upper row, of the same planes.
 * The padding is the input's zero point, written to the planes. */
#include "tidepool_dsp.h"

#define CHANNELS 4
_Static_assert(TIDEPOOL_FIXED_SHIFT == 4, "run_rows has it in its instructions");
#define TAPS 9
#define STREAM_RECORD 4 /* bias, multiplier, addend, last */
#define FOUR_WORDS (1 + TAPS + CHANNELS * STREAM_RECORD)

/* A channel, unpacked: w01[x] holds the weights of rows 0 and 1 in column x, w12[x] of 1 and 2. */
typedef struct {
    int32_t bias[4];
    uint32_t w01[3];
    uint32_t w12[3];
    int32_t record[3];
} channel_constants;

/* Two rows of four channels. */
typedef struct {
    int8_t *output;
    int32_t step_x; /* to the next column; 0 if there is only one */
    int32_t step_y; /* to the lower row; 0 if there is only one */
    const channel_constants *constants;
    const uint32_t *upper; /* [CHANNELS][pitch / 4] */
    const uint32_t *lower;
    int32_t row_bytes; /* 4 * stride * columns of the output */
    int32_t pitch;     /* bytes from a channel's plane to the next one's */
} rows;

#if TIDEPOOL_HAS_DSP

#define ROUNDED(x)                            \
    "add     r7, r4, " x ", asr #31\n\t"      \
    "smmlar  " x ", " x ", r3, " x "\n\t"     \
    "add     " x ", " x ", r7\n\t"

/* r0 constants, r1 upper, r2 lower; sums: r10, r11 upper row, r12, lr lower row. On the stack:
 * 0 output, 4 step_x, 8 step_y, 12 end of the upper row; then what the next channel starts from:
 * 16 upper, 20 lower, 24 row_bytes, 28 pitch, 32 output, 36 channels left. */
static __attribute__((naked, noinline)) void run_rows(const rows *r __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push    {r4-r11, lr}\n\t"
        "sub     sp, #44\n\t"
        "ldmia   r0, {r3-r10}\n\t"
        "stmia   sp, {r3-r5}\n\t"
        "mov     r0, r6\n\t"
        "add     r1, sp, #16\n\t"
        "stmia   r1, {r7-r10}\n\t"
        "mov     r4, #4\n\t"
        "strd    r3, r4, [sp, #32]\n\t"
        "mov     r1, r7\n\t"
        "mov     r2, r8\n\t"
        "add     r3, r1, r9\n\t"
        "str     r3, [sp, #12]\n"

        "1:\n\t" /* two columns */
        "ldmia   r0!, {r10, r11, r12, lr}\n\t"
        "ldmia   r0!, {r7, r8, r9}\n\t"
        "ldmia   r1, {r3-r6}\n\t"
        "adds    r1, #8\n\t"
        "smlad   r10, r3, r7, r10\n\t"
        "smlatb  r12, r3, r7, r12\n\t"
        "smlad   r11, r4, r7, r11\n\t"
        "smlatb  lr, r4, r7, lr\n\t"
        "smlad   r10, r4, r8, r10\n\t"
        "smlatb  r12, r4, r8, r12\n\t"
        "smlad   r11, r5, r8, r11\n\t"
        "smlatb  lr, r5, r8, lr\n\t"
        "smlad   r10, r5, r9, r10\n\t"
        "smlatb  r12, r5, r9, r12\n\t"
        "smlad   r11, r6, r9, r11\n\t"
        "smlatb  lr, r6, r9, lr\n\t"
        "ldmia   r0!, {r7, r8, r9}\n\t"
        "ldmia   r2, {r3-r6}\n\t"
        "adds    r2, #8\n\t"
        "smlabt  r10, r3, r7, r10\n\t"
        "smlad   r12, r3, r7, r12\n\t"
        "smlabt  r11, r4, r7, r11\n\t"
        "smlad   lr, r4, r7, lr\n\t"
        "smlabt  r10, r4, r8, r10\n\t"
        "smlad   r12, r4, r8, r12\n\t"
        "smlabt  r11, r5, r8, r11\n\t"
        "smlad   lr, r5, r8, lr\n\t"
        "smlabt  r10, r5, r9, r10\n\t"
        "smlad   r12, r5, r9, r12\n\t"
        "smlabt  r11, r6, r9, r11\n\t"
        "smlad   lr, r6, r9, lr\n\t"
        "ldmia   r0!, {r3, r4, r5}\n\t" /* multiplier, addend, last */
        "subs    r0, #52\n\t"
        "cmp     r5, #0\n\t"
        "blt     4f\n\t"
        "smmla   r10, r10, r3, r4\n\t"
        "smmla   r11, r11, r3, r4\n\t"
        "smmla   r12, r12, r3, r4\n\t"
        "smmla   lr, lr, r3, r4\n\t"

        "ssat    r10, #8, r10, asr #4\n\t"
        "ssat    r11, #8, r11, asr #4\n\t"
        "ssat    r12, #8, r12, asr #4\n\t"
        "ssat    lr, #8, lr, asr #4\n"

        "2:\n\t"
        "ldmia   sp, {r3-r6}\n\t" /* output, step_x, step_y, end */
        "add     r7, r3, r5\n\t"
        /* With a step of 0 the later store is the right one. */
        "strb    lr, [r7, r4]\n\t"
        "strb    r12, [r7]\n\t"
        "strb    r11, [r3, r4]\n\t"
        "strb    r10, [r3]\n\t"
        "add     r3, r3, r4, lsl #1\n\t"
        "str     r3, [sp]\n\t"
        "sub     r6, r6, r1\n\t"
        "cmp     r6, #8\n\t"
        "bge     1b\n\t"
        "cmp     r6, #4\n\t"
        "beq     5f\n"

        "3:\n\t" /* the next channel */
        "add     r0, #52\n\t"
        "add     r3, sp, #16\n\t"
        "ldmia   r3, {r4-r9}\n\t" /* upper, lower, row_bytes, pitch, output, channels left */
        "adds    r1, r4, r7\n\t"
        "adds    r2, r5, r7\n\t"
        "strd    r1, r2, [sp, #16]\n\t"
        "add     r8, r8, #1\n\t"
        "str     r8, [sp]\n\t"
        "add     r6, r6, r1\n\t"
        "str     r6, [sp, #12]\n\t"
        "subs    r9, #1\n\t"
        "strd    r8, r9, [sp, #32]\n\t"
        "bne     1b\n\t"
        "add     sp, #44\n\t"
        "pop     {r4-r11, pc}\n"

        "4:\n\t" /* a form with a shift of its own */
        "lsls    r7, r5, #1\n\t"
        "bmi     8f\n\t"
        "smmla   r10, r10, r3, r4\n\t"
        "smmla   r11, r11, r3, r4\n\t"
        "smmla   r12, r12, r3, r4\n\t"
        "smmla   lr, lr, r3, r4\n\t"
        "b       9f\n"
        "8:\n\t" /* the form "rounded" */
        ROUNDED("r10") ROUNDED("r11") ROUNDED("r12") ROUNDED("lr")
        "9:\n\t"
        "asr     r10, r10, r5\n\t"
        "asr     r11, r11, r5\n\t"
        "asr     r12, r12, r5\n\t"
        "asr     lr, lr, r5\n\t"
        "ssat    r10, #8, r10\n\t"
        "ssat    r11, #8, r11\n\t"
        "ssat    r12, #8, r12\n\t"
        "ssat    lr, #8, lr\n\t"
        "b       2b\n"

        "5:\n\t" /* one column is left: by itself */
        "ldrd    r10, r12, [r0], #16\n\t"
        "ldmia   r0!, {r7, r8, r9}\n\t"
        "ldmia   r1, {r3, r4, r5}\n\t"
        "smlad   r10, r3, r7, r10\n\t"
        "smlatb  r12, r3, r7, r12\n\t"
        "smlad   r10, r4, r8, r10\n\t"
        "smlatb  r12, r4, r8, r12\n\t"
        "smlad   r10, r5, r9, r10\n\t"
        "smlatb  r12, r5, r9, r12\n\t"
        "ldmia   r0!, {r7, r8, r9}\n\t"
        "ldmia   r2, {r3, r4, r5}\n\t"
        "smlabt  r10, r3, r7, r10\n\t"
        "smlad   r12, r3, r7, r12\n\t"
        "smlabt  r10, r4, r8, r10\n\t"
        "smlad   r12, r4, r8, r12\n\t"
        "smlabt  r10, r5, r9, r10\n\t"
        "smlad   r12, r5, r9, r12\n\t"
        "ldmia   r0!, {r3, r4, r5}\n\t"
        "subs    r0, #52\n\t"
        "cmp     r5, #0\n\t"
        "blt     7f\n\t"
        "smmla   r10, r10, r3, r4\n\t"
        "smmla   r12, r12, r3, r4\n\t"
        "ssat    r10, #8, r10, asr #4\n\t"
        "ssat    r12, #8, r12, asr #4\n"
        "6:\n\t"
        "ldmia   sp, {r3, r4, r5}\n\t"
        "strb    r12, [r3, r5]\n\t"
        "strb    r10, [r3]\n\t"
        "b       3b\n"
        "7:\n\t"
        "lsls    r7, r5, #1\n\t"
        "bmi     8f\n\t"
        "smmla   r10, r10, r3, r4\n\t"
        "smmla   r12, r12, r3, r4\n\t"
        "b       9f\n"
        "8:\n\t"
        ROUNDED("r10") ROUNDED("r12")
        "9:\n\t"
        "asr     r10, r10, r5\n\t"
        "asr     r12, r12, r5\n\t"
        "ssat    r10, #8, r10\n\t"
        "ssat    r12, #8, r12\n\t"
        "b       6b\n");
}

/* The same for strides of 2: the upper row only. r12 is lower; sums: r10, r11. */
static __attribute__((naked, noinline)) void run_row_2(const rows *r __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push    {r4-r11, lr}\n\t"
        "sub     sp, #44\n\t"
        "ldmia   r0, {r3-r10}\n\t"
        "stmia   sp, {r3-r5}\n\t"
        "mov     r0, r6\n\t"
        "add     r1, sp, #16\n\t"
        "stmia   r1, {r7-r10}\n\t"
        "mov     r4, #4\n\t"
        "strd    r3, r4, [sp, #32]\n\t"
        "mov     r1, r7\n\t"
        "mov     r12, r8\n\t"
        "add     r3, r1, r9\n\t"
        "str     r3, [sp, #12]\n"

        "1:\n\t" /* two columns of the output, four and one of the input */
        "ldrd    r10, r11, [r0], #16\n\t"
        "ldmia   r0!, {r7, r8, r9}\n\t"
        "ldmia   r1, {r2-r6}\n\t"
        "adds    r1, #16\n\t"
        "smlad   r10, r2, r7, r10\n\t"
        "smlad   r11, r4, r7, r11\n\t"
        "smlad   r10, r3, r8, r10\n\t"
        "smlad   r11, r5, r8, r11\n\t"
        "smlad   r10, r4, r9, r10\n\t"
        "smlad   r11, r6, r9, r11\n\t"
        "ldmia   r0!, {r7, r8, r9}\n\t"
        "ldmia   r12, {r2-r6}\n\t"
        "add     r12, r12, #16\n\t"
        "smlabt  r10, r2, r7, r10\n\t"
        "smlabt  r11, r4, r7, r11\n\t"
        "smlabt  r10, r3, r8, r10\n\t"
        "smlabt  r11, r5, r8, r11\n\t"
        "smlabt  r10, r4, r9, r10\n\t"
        "smlabt  r11, r6, r9, r11\n\t"
        "ldmia   r0!, {r3, r4, r5}\n\t"
        "subs    r0, #52\n\t"
        "cmp     r5, #0\n\t"
        "blt     4f\n\t"
        "smmla   r10, r10, r3, r4\n\t"
        "smmla   r11, r11, r3, r4\n\t"
        "ssat    r10, #8, r10, asr #4\n\t"
        "ssat    r11, #8, r11, asr #4\n"

        "2:\n\t"
        "ldmia   sp, {r3-r6}\n\t" /* output, step_x, step_y, end */
        "subs    r6, r6, r1\n\t"
        /* Behind the end there is no second column: the later store is the right one. */
        "it      lt\n\t"
        "movlt   r4, #0\n\t"
        "strb    r11, [r3, r4]\n\t"
        "strb    r10, [r3]\n\t"
        "add     r3, r3, r4, lsl #1\n\t"
        "str     r3, [sp]\n\t"
        "cmp     r6, #0\n\t"
        "bgt     1b\n\t"

        "add     r0, #52\n\t"
        "add     r3, sp, #16\n\t"
        "ldmia   r3, {r4-r9}\n\t" /* upper, lower, row_bytes, pitch, output, channels left */
        "add     r1, r4, r7\n\t"
        "add     r12, r5, r7\n\t"
        "strd    r1, r12, [sp, #16]\n\t"
        "add     r8, r8, #1\n\t"
        "str     r8, [sp]\n\t"
        "add     r6, r6, r1\n\t"
        "str     r6, [sp, #12]\n\t"
        "subs    r9, #1\n\t"
        "strd    r8, r9, [sp, #32]\n\t"
        "bne     1b\n\t"
        "add     sp, #44\n\t"
        "pop     {r4-r11, pc}\n"

        "4:\n\t" /* a form with a shift of its own */
        "lsls    r7, r5, #1\n\t"
        "bmi     5f\n\t"
        "smmla   r10, r10, r3, r4\n\t"
        "smmla   r11, r11, r3, r4\n\t"
        "b       6f\n"
        "5:\n\t" /* the form "rounded" */
        ROUNDED("r10") ROUNDED("r11")
        "6:\n\t"
        "asr     r10, r10, r5\n\t"
        "asr     r11, r11, r5\n\t"
        "ssat    r10, #8, r10\n\t"
        "ssat    r11, #8, r11\n\t"
        "b       2b\n");
}

#else

static void run_row_2(const rows *r)
{
    for (int32_t c = 0; c < CHANNELS; ++c) {
        const channel_constants *k = r->constants + c;
        const uint32_t *upper = r->upper + c * (r->pitch / 4);
        const uint32_t *lower = r->lower + c * (r->pitch / 4);
        int8_t *output = r->output + c;
        for (int32_t x = 0; x < r->row_bytes / 4; x += 2) {
            uint32_t sum = (uint32_t)k->bias[0];
            for (int32_t tap = 0; tap < 3; ++tap) {
                sum = tidepool_smlad(upper[x + tap], k->w01[tap], sum);
                sum = tidepool_smlabb(lower[x + tap], k->w12[tap] >> 16, sum);
            }
            *output = tidepool_form(sum, k->record);
            output += r->step_x;
        }
    }
}

/* The sums of one column of a channel, upper and lower row. */
static void run_rows(const rows *r)
{
    for (int32_t c = 0; c < CHANNELS; ++c) {
        const channel_constants *k = r->constants + c;
        const uint32_t *upper = r->upper + c * (r->pitch / 4);
        const uint32_t *lower = r->lower + c * (r->pitch / 4);
        int8_t *output = r->output + c;
        for (int32_t x = 0; x < r->row_bytes / 4; ++x) {
            uint32_t sum_0 = (uint32_t)k->bias[0];
            uint32_t sum_1 = (uint32_t)k->bias[0];
            for (int32_t tap = 0; tap < 3; ++tap) {
                const uint32_t above = upper[x + tap];
                const uint32_t below = lower[x + tap];
                sum_0 = tidepool_smlad(above, k->w01[tap], sum_0);
                sum_0 = tidepool_smlabb(below, k->w12[tap] >> 16, sum_0);
                sum_1 = tidepool_smlabb(above >> 16, k->w01[tap], sum_1);
                sum_1 = tidepool_smlad(below, k->w12[tap], sum_1);
            }
            output[r->step_y] = tidepool_form(sum_1, k->record);
            *output = tidepool_form(sum_0, k->record);
            output += r->step_x;
        }
    }
}

#endif

/* Two words of four bytes, a and b, as four words of halves: (a0, b0), (a1, b1), and so on. */
static inline void interleave(uint32_t a, uint32_t b, uint32_t halves[CHANNELS])
{
    const uint32_t channels_01 = tidepool_low_halves(a, b);
    const uint32_t channels_23 = tidepool_high_halves(a, b);
    halves[0] = tidepool_sxtb16(channels_01);
    halves[1] = tidepool_sxtb16_odd(channels_01);
    halves[2] = tidepool_sxtb16(channels_23);
    halves[3] = tidepool_sxtb16_odd(channels_23);
}

/* Unpacks four channels of the stream. */
static void unpack(const int32_t *stream, channel_constants *constants)
{
    const int32_t *taps = stream + 1;
    const int32_t *record = stream + 1 + TAPS;
    for (int32_t x = 0; x < 3; ++x) {
        uint32_t w01[CHANNELS];
        uint32_t w12[CHANNELS];
        interleave((uint32_t)taps[x], (uint32_t)taps[x + 3], w01);
        interleave((uint32_t)taps[x + 3], (uint32_t)taps[x + 6], w12);
        for (int32_t c = 0; c < CHANNELS; ++c) {
            constants[c].w01[x] = w01[c];
            constants[c].w12[x] = w12[c];
        }
    }
    for (int32_t c = 0; c < CHANNELS; ++c) {
        channel_constants *k = constants + c;
        k->bias[0] = record[0];
        k->bias[1] = record[0];
        k->bias[2] = record[0];
        k->bias[3] = record[0];
        k->record[0] = record[1];
        k->record[1] = record[2];
        k->record[2] = record[3];
        record += STREAM_RECORD;
    }
}

/* Packs two rows of four channels into their planes. A row that lies in the padding repeats one
 * word: its step is 0. */
static void pack(const int8_t *above, int32_t step_above, const int8_t *below, int32_t step_below,
                 int32_t columns, uint32_t *plane, int32_t pitch)
{
    uint32_t *plane_1 = plane + pitch / 4;
    uint32_t *plane_2 = plane_1 + pitch / 4;
    uint32_t *plane_3 = plane_2 + pitch / 4;
    for (int32_t left = columns; left > 0; --left) {
        uint32_t halves[CHANNELS];
        interleave(tidepool_load_word(above), tidepool_load_word(below), halves);
        *plane++ = halves[0];
        *plane_1++ = halves[1];
        *plane_2++ = halves[2];
        *plane_3++ = halves[3];
        above += step_above;
        below += step_below;
    }
}

/* Packs rows y and y + 1 of an image, of which some may lie in the padding. */
static void pack_rows(const tidepool_depthwise_conv_2d_dsp_params *p, const int8_t *image, int32_t y,
                      uint32_t *plane, int32_t pitch)
{
    const tidepool_window *w = &p->window;
    const int32_t room = pitch / 4 - w->pad_left;
    const int32_t columns = (w->input_width < room) ? w->input_width : room;
    const uint32_t fill = ((uint32_t)p->input_zero_point & 0xFFu) * 0x01010101u;
    const int32_t channels = w->input_channels;
    const int32_t row = w->input_width * channels;
    int8_t padding[CHANNELS];
    memcpy(padding, &fill, sizeof padding);
    const int8_t *above = padding;
    const int8_t *below = padding;
    int32_t step_above = 0;
    int32_t step_below = 0;
    if (y >= 0 && y < w->input_height) {
        above = image + y * row;
        step_above = channels;
    }
    if (y + 1 >= 0 && y + 1 < w->input_height) {
        below = image + (y + 1) * row;
        step_below = channels;
    }
    pack(above, step_above, below, step_below, columns, plane + w->pad_left, pitch);
}

/* Four channels of one image. */
static void run_image(const tidepool_depthwise_conv_2d_dsp_params *p, rows *r, const int8_t *image,
                      int8_t *output, uint32_t *const planes[2])
{
    const tidepool_window *w = &p->window;
    const int32_t row = w->output_width * w->output_channels;
    uint32_t *upper = planes[0];
    uint32_t *lower = planes[1];
    int32_t y = -w->pad_top;
    pack_rows(p, image, y, upper, r->pitch);
    r->output = output;
    r->step_y = row;
    const int32_t rows_at_once = (w->stride_height == 1) ? 2 : 1;
    for (int32_t left = w->output_height; left > 0; left -= rows_at_once) {
        y += 2;
        pack_rows(p, image, y, lower, r->pitch);
        r->upper = upper;
        r->lower = lower;
        r->step_y = (left > 1) ? row : 0;
        if (rows_at_once == 2) {
            run_rows(r);
        } else {
            run_row_2(r);
        }
        r->output += rows_at_once * row;
        uint32_t *const next = upper;
        upper = lower;
        lower = next;
    }
}

TIDEPOOL_KERNEL
void tidepool_depthwise_3x3_dsp(const tidepool_depthwise_conv_2d_dsp_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t channels = w->input_channels;
    const int32_t stride = w->stride_width;
    const int32_t least = (w->output_width > 1) ? w->output_width + 2 : 4;
    const int32_t columns = (stride == 1) ? least : (w->output_width + 1) / 2 * 4 + 2;
    const int32_t image_size = w->input_height * w->input_width * channels;
    const int32_t result_size = w->output_height * w->output_width * channels;
    channel_constants *const constants = (channel_constants *)(void *)scratch;
    uint32_t *const planes[2] = {(uint32_t *)(void *)(constants + CHANNELS),
                                 (uint32_t *)(void *)(constants + CHANNELS) + CHANNELS * columns};
    rows r = {output, (w->output_width > 1) ? channels : 0, 0, constants, planes[0], planes[1],
              4 * stride * w->output_width, 4 * columns};
    const uint32_t padding = ((uint32_t)params->input_zero_point & 0xFFFFu) * 0x10001u;
    for (int32_t i = 0; i < 2 * CHANNELS * columns; ++i) {
        planes[0][i] = padding;
    }
    for (int32_t done = 0; done < params->stream_words; done += FOUR_WORDS) {
        const int32_t *stream = params->stream + done;
        unpack(stream, constants);
        for (int32_t b = 0; b < w->batches; ++b) {
            run_image(params, &r, input + b * image_size + stream[0],
                      output + b * result_size + stream[0], planes);
        }
    }
    tidepool_clamp_all(output, w->batches * result_size, params->output_min, params->output_max);
}
