/* DEPTHWISE_CONV_2D, int8: any window, stride, dilation and depth multiplier.
 *
 * Four input channels at a time. The input rows of a band of output rows are copied to scratch
 * memory first, the padding at both sides filled in, so that the output may take the input's place.
 * There, 128 is added to the inputs: bytes without a sign are easier to load on small cores. Then
 * comes channel by channel, two neighbouring outputs at a time. */
#include "tidepool_images.h"
#include "tidepool_scalar.h"

#define FOUR 4 /* bytes from column to column of a line */
#define SIGNS 0x80808080u

/* Lines of up to four channels. */
typedef struct {
    uint8_t *first;
    int32_t pitch;   /* bytes of a line */
    int32_t left;    /* bytes of the padding in front */
    int32_t columns; /* of the input */
    int32_t channels;
    int32_t extent; /* rows of a window, those between its rows included */
} lines;

/* The outputs of one channel in a band. */
typedef struct {
    const uint8_t *x; /* of the next row's first window */
    int8_t *output;
    const int8_t *weights;
    const int32_t *factor;
    int32_t start;
    int32_t rows;
    int32_t columns;
    int32_t output_step; /* from column to column */
    int32_t output_row;
    int32_t x_step; /* likewise */
    int32_t x_row;
    int32_t tap_step; /* from tap to tap */
    int32_t tap_row;
    int32_t filter_height;
    int32_t filter_width;
} job;

/* A row of three taps, for outputs `step` apart. */
#define ADD_THREE_TAPS(x, weights, step)                                 \
    a += (x)[0] * (weights)[0];                                          \
    b += (x)[step] * (weights)[0];                                       \
    a += (x)[FOUR] * (weights)[1];                                       \
    b += (x)[(step) + FOUR] * (weights)[1];                              \
    a += (x)[2 * FOUR] * (weights)[2];                                   \
    b += (x)[(step) + 2 * FOUR] * (weights)[2]

/* 3x3 taps, at least two columns and the short form of factors; `step` a constant. */
static inline void run_3x3(const job *j, int32_t step)
{
    const int8_t *const weights = j->weights;
    const int32_t multiplier = j->factor[0];
    const int32_t addend = j->factor[1];
    const int32_t right = j->factor[2];
    for (int32_t row = 0; row < j->rows; ++row) {
        const uint8_t *x = j->x + row * j->x_row;
        int8_t *to = j->output + row * j->output_row;
        int32_t columns = j->columns;
        while (columns > 0) {
            do {
                const uint8_t *const second = x + j->tap_row;
                const uint8_t *const third = second + j->tap_row;
                int32_t a = j->start;
                int32_t b = a;
                ADD_THREE_TAPS(x, weights, step);
                ADD_THREE_TAPS(second, weights + 3, step);
                ADD_THREE_TAPS(third, weights + 6, step);
                x += 2 * step;
                *to = tidepool_finish(a, multiplier, addend, right);
                to += j->output_step;
                *to = tidepool_finish(b, multiplier, addend, right);
                to += j->output_step;
                columns -= 2;
            } while (columns > 1);
            /* A last column by itself is done with the one before. */
            x -= columns * step;
            to -= columns * j->output_step;
            columns *= 2;
        }
    }
}

TIDEPOOL_APART void run_3x3_stride_1(const job *j)
{
    run_3x3(j, FOUR);
}

TIDEPOOL_APART void run_3x3_stride_2(const job *j)
{
    run_3x3(j, 2 * FOUR);
}

/* The sums of two neighbouring outputs. */
TIDEPOOL_APART void add_window(const job *j, const uint8_t *x, int32_t *sums)
{
    const int8_t *weights = j->weights;
    int32_t a = j->start;
    int32_t b = a;
    for (int32_t fy = j->filter_height; fy > 0; --fy) {
        const uint8_t *tap = x;
        const uint8_t *next = x + j->x_step;
        for (int32_t fx = j->filter_width; fx > 0; --fx) {
            const int32_t weight = *weights++;
            a += *tap * weight;
            b += *next * weight;
            tap += j->tap_step;
            next += j->tap_step;
        }
        x += j->tap_row;
    }
    sums[0] = a;
    sums[1] = b;
}

TIDEPOOL_APART void run_any(const job *j, int32_t general)
{
    for (int32_t row = 0; row < j->rows; ++row) {
        const uint8_t *const x = j->x + row * j->x_row;
        int8_t *const to = j->output + row * j->output_row;
        for (int32_t column = 0; column < j->columns; column += 2) {
            /* A last column by itself is done with the one before. */
            const int32_t at = tidepool_clamp(column, 0, j->columns - 2);
            int32_t sums[2];
            add_window(j, x + at * j->x_step, sums);
            for (int32_t i = 0; i < 2; ++i) {
                to[(at + i) * j->output_step] =
                    tidepool_finish_either(sums[i], j->factor, general);
            }
        }
    }
}

/* Copies the columns of up to four channels. */
static void copy_line(const lines *l, const int8_t *from, int32_t channels, uint8_t *to)
{
    to += l->left;
    const int words = TIDEPOOL_WORDS_ANYWHERE || (channels & 3) == 0;
    if (l->channels == FOUR && words && tidepool_are_words(from, (const int8_t *)to)) {
        for (int32_t x = l->columns; x > 0; --x) {
            tidepool_put_word((int8_t *)to, tidepool_word_at(from) ^ SIGNS);
            from += channels;
            to += FOUR;
        }
        return;
    }
    for (int32_t c = 0; c < l->channels; ++c) {
        const int8_t *x = from + c;
        uint8_t *y = to + c;
        for (int32_t left = l->columns; left > 0; --left) {
            *y = (uint8_t)(*x ^ INT8_MIN);
            x += channels;
            y += FOUR;
        }
    }
}

/* The lines of a band of `rows` rows, from output row `done` on. */
static void fill_lines(const tidepool_depthwise_conv_2d_params *p, const lines *l,
                       const int8_t *input, int32_t done, int32_t rows)
{
    const tidepool_window *w = &p->window;
    const int32_t shared = (l->extent > w->stride_height) ? l->extent - w->stride_height : 0;
    const int32_t count = (rows - 1) * w->stride_height + l->extent;
    int32_t line = 0;
    if (done > 0) {
        /* What the last band's windows share with this one's moves to the front. */
        const int8_t *const from = (const int8_t *)l->first + p->band * w->stride_height * l->pitch;
        tidepool_copy_bytes((int8_t *)l->first, from, shared * l->pitch);
        line = shared;
    }
    for (; line < count; ++line) {
        const int32_t y = done * w->stride_height - w->pad_top + line;
        uint8_t *const to = l->first + line * l->pitch;
        if (y < 0 || y >= w->input_height) {
            tidepool_fill_bytes((int8_t *)to, p->input_zero_point ^ INT8_MIN, l->pitch);
        } else {
            copy_line(l, input + y * w->input_width * w->input_channels, w->input_channels, to);
        }
    }
}

/* Channels `first` to `first` + 3 of one image. */
static void run_channels(const tidepool_depthwise_conv_2d_params *p, const lines *l,
                         const int8_t *input, int32_t first, int8_t *output)
{
    const tidepool_window *w = &p->window;
    const tidepool_channels *c = &p->channels;
    const int32_t taps = w->filter_height * w->filter_width;
    const int32_t output_row = w->output_width * w->output_channels;
    /* A single column counts as two, at the same place. */
    const int single = w->output_width == 1;
    const int small = taps == 9 && w->filter_width == 3 && w->dilation_width == 1 && !single &&
                      !c->general;
    job j = {0};
    j.columns = single ? 2 : w->output_width;
    j.output_step = single ? 0 : w->output_channels;
    j.output_row = output_row;
    j.x_step = single ? 0 : FOUR * w->stride_width;
    j.x_row = l->pitch * w->stride_height;
    j.tap_step = FOUR * w->dilation_width;
    j.tap_row = l->pitch * w->dilation_height;
    j.filter_height = w->filter_height;
    j.filter_width = w->filter_width;
    for (int32_t done = 0; done < w->output_height; done += p->band) {
        const int32_t left = w->output_height - done;
        j.rows = (left < p->band) ? left : p->band;
        fill_lines(p, l, input, done, j.rows);
        int32_t channel = first * p->depth_multiplier;
        j.output = output + done * output_row;
        for (j.x = l->first; j.x < l->first + l->channels; ++j.x) {
            for (int32_t i = 0; i < p->depth_multiplier; ++i) {
                j.weights = p->weights + channel * taps;
                j.start = c->starts[channel];
                j.factor = c->factors + channel * c->factor_step;
                if (small && w->stride_width == 1) {
                    run_3x3_stride_1(&j);
                } else if (small && w->stride_width == 2) {
                    run_3x3_stride_2(&j);
                } else {
                    run_any(&j, c->general);
                }
                ++channel;
                ++j.output;
            }
        }
    }
}

static int32_t extent(int32_t size, int32_t dilation)
{
    return (size - 1) * dilation + 1;
}

TIDEPOOL_KERNEL
void tidepool_depthwise_conv_2d(const tidepool_depthwise_conv_2d_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t width = extent(w->output_width, w->stride_width) - 1 +
                          extent(w->filter_width, w->dilation_width);
    const int32_t in_size = w->input_height * w->input_width * w->input_channels;
    const int32_t out_size = w->output_height * w->output_width * w->output_channels;
    lines l = {scratch, FOUR * width, FOUR * w->pad_left,
               tidepool_clamp(width - w->pad_left, 0, w->input_width), FOUR,
               extent(w->filter_height, w->dilation_height)};
    tidepool_fill_bytes((int8_t *)scratch, params->input_zero_point ^ INT8_MIN,
                        ((params->band - 1) * w->stride_height + l.extent) * l.pitch);
    for (int32_t b = 0; b < w->batches; ++b) {
        for (int32_t c = 0; c < w->input_channels; c += FOUR) {
            const int32_t left = w->input_channels - c;
            l.channels = (left < FOUR) ? left : FOUR;
            run_channels(params, &l, input + b * in_size + c, c,
                         output + b * out_size + c * params->depth_multiplier);
        }
    }
    tidepool_clamp_all(output, w->batches * out_size, params->channels.output_min,
                       params->channels.output_max);
}
