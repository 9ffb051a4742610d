/* CONV_2D, one group, and FULLY_CONNECTED of several rows, int8, for cores with the vector extension.
 *
 * Two pixels by four output channels: a vector of each pixel's window and one of each channel's
 * weights are loaded, and eight VMLADAVA sum up 128 products in 14 instructions. The windows of a
 * filter larger than one pixel are runs of bytes in a copy (tidepool_mve_strips.h). */
#include "tidepool_mve.h"
#include "tidepool_mve_strips.h"

#define PIXELS 2
#define CHANNELS 4

/* Pairs of pixels, and the groups of channels to compute for them. */
typedef struct {
    const int8_t *x_0; /* of the first pair */
    const int8_t *x_1;
    const int32_t *stream;
    int8_t *output;
    const int32_t *stream_end;
    int32_t zero_point;
    int32_t pairs;
    int32_t x_step;      /* from one pair to the next */
    int32_t output_step; /* the same, behind the last group */
    int32_t depth;
    int32_t ties;
    const uint16_t *places; /* of the outputs of a group: channel 0 of both pixels, channel 1, ... */
    int32_t low;
    int32_t high;
} pairs_job;

#if TIDEPOOL_HAS_MVE

/* 14 instructions of 4 bytes. The sums: r0, r2, r4, r6 of the first pixel, r8, r10, r12, lr of the
 * second one. VMLADAVA takes even registers only, so that pointers are in odd ones. */
#define SIXTEEN_TAPS(x_0, x_1)       \
    "vldrb.u8     q0, " x_0 "\n\t"        \
    "vldrb.u8     q2, [r5], #16\n\t" \
    "vldrb.u8     q1, " x_1 "\n\t"        \
    "vmladava.s8  r0, q0, q2\n\t"    \
    "vldrb.u8     q3, [r5], #16\n\t" \
    "vmladava.s8  r8, q1, q2\n\t"    \
    "vldrb.u8     q2, [r5], #16\n\t" \
    "vmladava.s8  r2, q0, q3\n\t"    \
    "vmladava.s8  r10, q1, q3\n\t"   \
    "vldrb.u8     q3, [r5], #16\n\t" \
    "vmladava.s8  r4, q0, q2\n\t"    \
    "vmladava.s8  r12, q1, q2\n\t"   \
    "vmladava.s8  r6, q0, q3\n\t"    \
    "vmladava.s8  lr, q1, q3\n\t"
#define BEFORE(distance) \
    SIXTEEN_TAPS("[r1, #-" distance "]", "[r3, #-" distance "]")
#define NEXT SIXTEEN_TAPS("[r1], #16", "[r3], #16")

/* The sums of a group as vectors, times their multipliers, then where sp says: to `rounded`, or
 * before it to the correction of ties: minus 1 where it is negative and will be shifted. */
#define PRODUCTS(rounded, ties)       \
    "vmov     q0[2], q0[0], r0, r4\n\t"    \
    "vmov     q0[3], q0[1], r2, r6\n\t"    \
    "vldrw.u32 q2, [r5], #16\n\t"          \
    "vmov     q1[2], q1[0], r8, r12\n\t"   \
    "vmov     q1[3], q1[1], r10, lr\n\t"   \
    "vqrdmulh.s32 q0, q0, q2\n\t"          \
    "vldrw.u32 q3, [r5], #16\n\t"          \
    "vqrdmulh.s32 q1, q1, q2\n\t"          \
    "ldr      pc, [sp, #20]\n\t"           \
    ".balign  4\n" ties ":\n\t"            \
    "vand     q2, q0, q3\n\t"              \
    "vshr.s32 q2, q2, #31\n\t"             \
    "vadd.i32 q0, q0, q2\n\t"              \
    "vand     q2, q1, q3\n\t"              \
    "vshr.s32 q2, q2, #31\n\t"             \
    "vadd.i32 q1, q1, q2\n\t"              \
    ".balign  4\n" rounded ":\n\t"         \
    "vrshl.s32 q0, q0, q3\n\t"             \
    "vrshl.s32 q1, q1, q3\n\t"

#define STORED(zero_point)            \
    "vqmovnb.s32 q0, q0\n\t"          \
    "vqmovnt.s32 q0, q1\n\t"          \
    "vqadd.s16 q0, q0, " zero_point "\n\t" \
    "vmax.s16 q0, q0, q4\n\t"         \
    "vmin.s16 q0, q0, q5\n\t"         \
    "vstrb.16 q0, [r11, q6]\n\t"      \
    "add      r11, r11, #4\n\t"

#define TIES_OR(rounded, ties)   \
    "adr.w    r0, " rounded "\n\t" \
    "cmp      r11, #0\n\t"       \
    "itt      ne\n\t"            \
    "adrne.w  r0, " ties "\n\t"  \
    "nopne\n\t"                  \
    "orr      r0, r0, #1\n\t"    \
    "str      r0, [sp, #20]\n\t"

#define NEXT_PAIR(done)           \
    "ldrd     r2, r4, [sp]\n\t"   \
    "subs     r2, r2, #1\n\t"     \
    "beq      " done "\n\t"       \
    "str      r2, [sp]\n\t"       \
    "ldrd     r6, r5, [sp, #8]\n\t" \
    "add      r1, r1, r4\n\t"     \
    "add      r3, r3, r4\n\t"     \
    "add      r11, r11, r6\n\t"

/* On the stack: 0 pairs, x_step, 8 output_step, stream, 16 where the loop over taps is entered,
 * 20 how its sums are requantized, 24 stream_end, zero_point. */
static __attribute__((naked, noinline)) void run_pairs(const pairs_job *job __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push     {r4-r11, lr}\n\t"
        "vpush    {d8-d13}\n\t"
        "sub      sp, #36\n\t"
        "ldmia    r0!, {r1-r12}\n\t"
        "ldrd     r0, lr, [r0]\n\t"
        "vdup.16  q4, r0\n\t"
        "vdup.16  q5, lr\n\t"
        "vldrh.u16 q6, [r12]\n\t"
        "strd     r7, r8, [sp]\n\t"
        "strd     r9, r3, [sp, #8]\n\t"
        "strd     r5, r6, [sp, #24]\n\t"
        "mov      r12, #56\n\t"
        "cmp      r10, #64\n\t"
        "bhi.w    3f\n\t"

        /* At most four vectors: x_0 and x_1 stay at their ends. */
        TIES_OR("4f", "6f")
        "rsb      r8, r10, #64\n\t"
        "lsr      r8, r8, #4\n\t"
        "adr.w    r0, 2f\n\t"
        "orr      r0, r0, #1\n\t"
        "mla      r8, r8, r12, r0\n\t"
        "str      r8, [sp, #16]\n\t"
        "mov      r11, r4\n\t"
        "mov      r9, r6\n\t"
        "mov      r7, r5\n\t"
        "mov      r5, r3\n\t"
        "add      r1, r1, r10\n\t"
        "add      r3, r2, r10\n"
        "1:\n\t" /* the next four channels */
        "ldmia    r5, {r0, r2, r4, r6}\n\t"
        "ldmia    r5!, {r8, r10, r12, lr}\n\t"
        "ldr      pc, [sp, #16]\n\t"
        ".balign  4\n"
        "2:\n\t" BEFORE("64") BEFORE("48") BEFORE("32") BEFORE("16")
        PRODUCTS("4", "6")
        STORED("r9")
        "cmp      r5, r7\n\t"
        "bne.w    1b\n\t"
        NEXT_PAIR("9f")
        "b        1b\n"
        "9:\n\t"
        "add      sp, #36\n\t"
        "vpop     {d8-d13}\n\t"
        "pop      {r4-r11, pc}\n"

        /* More: r7 depth, r9 the end of x_0's window. The loop begins where the rest of
         * (vectors / 4) is left. */
        "3:\n\t"
        TIES_OR("4f", "6f")
        "rsb      r8, r10, #0\n\t"
        "ubfx     r8, r8, #4, #2\n\t"
        "adr.w    r0, 2f\n\t"
        "orr      r0, r0, #1\n\t"
        "mla      r8, r8, r12, r0\n\t"
        "str      r8, [sp, #16]\n\t"
        "mov      r11, r4\n\t"
        "mov      r7, r10\n\t"
        "mov      r5, r3\n\t"
        "mov      r3, r2\n\t"
        "add      r9, r1, r7\n"
        "1:\n\t"
        "ldmia    r5, {r0, r2, r4, r6}\n\t"
        "ldmia    r5!, {r8, r10, r12, lr}\n\t"
        "ldr      pc, [sp, #16]\n\t"
        ".balign  4\n"
        "2:\n\t" NEXT NEXT NEXT NEXT
        "cmp      r1, r9\n\t"
        "bne.w    2b\n\t"
        PRODUCTS("4", "6")
        "ldrd     r0, r2, [sp, #24]\n\t"
        "sub      r1, r1, r7\n\t"
        "sub      r3, r3, r7\n\t"
        STORED("r2")
        "cmp      r5, r0\n\t"
        "bne.w    1b\n\t"
        NEXT_PAIR("9b")
        "add      r9, r1, r7\n\t"
        "b        1b\n");
}

/* The sums of one channel for two pixels. */
static inline void run_channel(const int8_t *x_0, const int8_t *x_1, const int8_t *weights,
                               int32_t depth, uint32_t *sums)
{
    uint32_t sum_0 = sums[0];
    uint32_t sum_1 = sums[1];
    __asm__ volatile("dls          lr, %5\n"
                     "1:\n\t"
                     "vldrb.u8     q0, [%2], #16\n\t"
                     "vldrb.u8     q2, [%4], #16\n\t"
                     "vldrb.u8     q1, [%3], #16\n\t"
                     "vmladava.s8  %0, q0, q2\n\t"
                     "vmladava.s8  %1, q1, q2\n\t"
                     "le           lr, 1b"
                     : "+Te"(sum_0), "+Te"(sum_1), "+r"(x_0), "+r"(x_1), "+r"(weights)
                     : "r"(depth / TIDEPOOL_MVE_BYTES)
                     : "lr", "q0", "q1", "q2", "memory");
    sums[0] = sum_0;
    sums[1] = sum_1;
}

#else

/* One group of channels for one pair. */
static const int32_t *run_group(const pairs_job *job, const int8_t *const *x, const int32_t *stream,
                                int8_t *output)
{
    uint32_t sums[CHANNELS][PIXELS];
    for (int32_t c = 0; c < CHANNELS; ++c) {
        sums[c][0] = (uint32_t)stream[c];
        sums[c][1] = (uint32_t)stream[c];
    }
    stream += CHANNELS;
    for (int32_t i = 0; i < job->depth; i += TIDEPOOL_MVE_BYTES) {
        for (int32_t c = 0; c < CHANNELS; ++c) {
            const int8_t *const weights = (const int8_t *)stream;
            sums[c][0] = tidepool_mve_products(sums[c][0], x[0] + i, weights);
            sums[c][1] = tidepool_mve_products(sums[c][1], x[1] + i, weights);
            stream += TIDEPOOL_MVE_BYTES / 4;
        }
    }
    for (int32_t c = 0; c < CHANNELS; ++c) {
        for (int32_t i = 0; i < PIXELS; ++i) {
            output[job->places[PIXELS * c + i]] =
                tidepool_mve_result(sums[c][i], stream[c], stream[CHANNELS + c], job->ties,
                                    job->zero_point, job->low, job->high);
        }
    }
    return stream + 2 * CHANNELS;
}

static void run_pairs(const pairs_job *job)
{
    const int8_t *x[PIXELS] = {job->x_0, job->x_1};
    int8_t *output = job->output;
    for (int32_t pair = 0; pair < job->pairs; ++pair) {
        const int32_t *stream = job->stream;
        do {
            stream = run_group(job, x, stream, output);
            output += CHANNELS;
        } while (stream != job->stream_end);
        if (pair + 1 < job->pairs) {
            x[0] += job->x_step;
            x[1] += job->x_step;
            output += job->output_step;
        }
    }
}

static void run_channel(const int8_t *x_0, const int8_t *x_1, const int8_t *weights, int32_t depth,
                        uint32_t *sums)
{
    for (int32_t i = 0; i < depth; i += TIDEPOOL_MVE_BYTES) {
        sums[0] = tidepool_mve_products(sums[0], x_0 + i, weights + i);
        sums[1] = tidepool_mve_products(sums[1], x_1 + i, weights + i);
    }
}

#endif

/* Words of the stream for one channel. */
static inline int32_t channel_words(const tidepool_conv_2d_mve_params *p)
{
    return 3 + p->depth / 4;
}

/* One result; its multiplier and shift end in front of `end`. */
static inline int8_t requantize(const tidepool_conv_2d_mve_params *p, uint32_t sum,
                                const int32_t *end)
{
    const int32_t result = tidepool_requantize((int32_t)sum, end[-2], end[-1]);
    return (int8_t)tidepool_clamp(result + p->output_zero_point, p->output_min, p->output_max);
}

/* The channels behind the last whole group, for one pair whose outputs lie `distance` apart. */
static void run_last_channels(const tidepool_conv_2d_mve_params *p, const int8_t *x_0,
                              const int8_t *x_1, int8_t *output, int32_t distance)
{
    const int32_t channels = p->window.output_channels;
    const int32_t *stream = p->stream + (channels - channels % CHANNELS) * channel_words(p);
    for (int32_t c = channels - channels % CHANNELS; c < channels; ++c) {
        uint32_t sums[PIXELS] = {(uint32_t)stream[0], (uint32_t)stream[0]};
        run_channel(x_0, x_1, (const int8_t *)(stream + 1), p->depth, sums);
        stream += channel_words(p);
        output[c] = requantize(p, sums[0], stream);
        output[c + distance] = requantize(p, sums[1], stream);
    }
}

/* All channels of pairs of pixels, `x_step` bytes from one pair to the next. The pixels of a pair
 * may be the same: `distance` between their outputs is then 0. Returns the end of the output. */
static int8_t *run_all_channels(const tidepool_conv_2d_mve_params *p, const int8_t *x_0,
                                const int8_t *x_1, int32_t x_step, int32_t pairs, int32_t distance,
                                int8_t *output)
{
    const int32_t channels = p->window.output_channels;
    const int32_t rest = channels % CHANNELS;
    const int32_t pair_bytes = channels + distance;
    uint16_t places[PIXELS * CHANNELS];
    pairs_job job = {x_0, x_1, p->stream, output,
                     p->stream + (channels - rest) * channel_words(p), p->output_zero_point,
                     (rest == 0) ? pairs : 1, x_step, distance, p->depth, p->ties, places,
                     p->output_min, p->output_max};
    for (int32_t c = 0; c < CHANNELS; ++c) {
        places[PIXELS * c] = (uint16_t)c;
        places[PIXELS * c + 1] = (uint16_t)(c + distance);
    }
    for (int32_t done = 0; done < pairs; done += job.pairs) {
        if (channels >= CHANNELS) {
            run_pairs(&job);
        }
        if (rest > 0) {
            run_last_channels(p, job.x_0, job.x_1, job.output, distance);
            job.output += pair_bytes;
            job.x_0 += (done + 1 < pairs) ? x_step : 0;
            job.x_1 += (done + 1 < pairs) ? x_step : 0;
        }
    }
    return output + pairs * pair_bytes;
}

/* Pixels whose windows begin `pitch` bytes apart. */
static int8_t *run_pixels(const tidepool_conv_2d_mve_params *p, const int8_t *x, int32_t pitch,
                          int32_t pixels, int8_t *output)
{
    const int32_t pairs = pixels / PIXELS;
    if (pairs > 0) {
        output = run_all_channels(p, x, x + pitch, PIXELS * pitch, pairs,
                                  p->window.output_channels, output);
    }
    if (pixels % PIXELS > 0) { /* the last one by itself: computed twice */
        x += (pixels - 1) * pitch;
        output = run_all_channels(p, x, x, 0, 1, 0, output);
    }
    return output;
}

/* Filters of one pixel, windows where they lie. The last vector of a pixel may reach into the next
 * ones; at the end of the input, where it would reach beyond, pixels are copied. */
static void run_in_place(const tidepool_conv_2d_mve_params *p, const int8_t *input, int8_t *output,
                         int8_t *copy)
{
    const tidepool_window *w = &p->window;
    const int32_t channels = w->input_channels;
    if (w->stride_width > 1 || w->stride_height > 1) { /* depth == channels */
        const int32_t image = w->input_height * w->input_width * channels;
        for (int32_t b = 0; b < w->batches; ++b) {
            for (int32_t y = 0; y < w->output_height; ++y) {
                const int8_t *const row =
                    input + (b * image + y * w->stride_height * w->input_width * channels);
                output = run_pixels(p, row, w->stride_width * channels, w->output_width, output);
            }
        }
        return;
    }
    const int32_t pixels = w->batches * w->output_height * w->output_width;
    const int32_t unsafe = (p->depth - 1) / channels;
    const int32_t safe = (pixels > unsafe) ? (pixels - unsafe) / PIXELS * PIXELS : 0;
    const int32_t direct = (unsafe == 0) ? pixels : safe;
    output = run_pixels(p, input, channels, direct, output);
    for (int32_t left = pixels - direct; left > 0; left -= PIXELS) {
        const int32_t count = (left < PIXELS) ? left : PIXELS;
        const int8_t *const x = input + (pixels - left) * channels;
        for (int32_t i = 0; i < count; ++i) {
            tidepool_copy_bytes(copy + i * p->depth, x + i * channels, channels);
        }
        output = run_pixels(p, copy, p->depth, count, output);
    }
}

/* Windows of larger filters, `pixels` of a row at a time. Where a row has an odd number of them, its
 * last one waits for the next row, whose strip lies elsewhere. */
static void run_strips(const tidepool_conv_2d_mve_params *p, const int8_t *input, int8_t *output,
                       int8_t *scratch)
{
    const tidepool_window *w = &p->window;
    const tidepool_strips strips = tidepool_strips_of(w, scratch);
    const int32_t image_bytes = w->input_height * w->input_width * w->input_channels;
    int8_t *strip = scratch + tidepool_padding_bytes(w);
    int8_t *next_strip = strip + p->strip_bytes * (w->output_width % PIXELS);
    const int8_t *waiting = NULL;
    tidepool_fill_bytes(scratch, p->input_zero_point, tidepool_padding_bytes(w));
    for (int32_t row = 0; row < w->batches * w->output_height; ++row) {
        const int8_t *const image = input + row / w->output_height * image_bytes;
        for (int32_t x = 0; x < w->output_width; x += p->pixels) {
            const int32_t left = w->output_width - x;
            int32_t count = (left < p->pixels) ? left : p->pixels;
            const int8_t *window = strip;
            tidepool_fill_strip(&strips, image, row % w->output_height, x, count, strip);
            if (waiting != NULL) {
                output = run_all_channels(p, waiting, window, 0, 1, w->output_channels, output);
                window += strips.window_step;
                --count;
            }
            const int32_t even = count / PIXELS * PIXELS;
            output = run_pixels(p, window, strips.window_step, even, output);
            waiting = (even < count) ? window + even * strips.window_step : NULL;
            int8_t *const filled = strip;
            strip = next_strip;
            next_strip = filled;
        }
    }
    if (waiting != NULL) {
        (void)run_pixels(p, waiting, 0, 1, output);
    }
}

TIDEPOOL_KERNEL
void tidepool_conv_2d_mve(const tidepool_conv_2d_mve_params *params, const int8_t *input,
                          int8_t *output, uint8_t *scratch)
{
    if (params->pixels == 0) {
        run_in_place(params, input, output, (int8_t *)scratch);
    } else {
        run_strips(params, input, output, (int8_t *)scratch);
    }
}
