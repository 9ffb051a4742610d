/* DEPTHWISE_CONV_2D, int8, any window, stride, dilation and depth multiplier, for cores with the vector
 * extension.
 *
 * Eight input channels at a time, over the whole image: rows are packed by twos, a dilation apart, into
 * planes of halves (those of a filter of one row: columns), the padding being the input's zero point, and
 * each channel's results are computed from them (tidepool_mve_windows.h). Planes that the next rows of
 * the output need as well are kept, so that rows of the input are read before results take their place. */
#include "tidepool_mve_windows.h"

/* Eight channels of one image, and the planes. */
typedef struct {
    const tidepool_window *w;
    const int8_t *image;
    const int8_t *padding;
    int32_t channels; /* of the eight */
    int32_t columns;  /* of a plane */
} source;

static inline int32_t smaller(int32_t a, int32_t b)
{
    return (a < b) ? a : b;
}

/* A pixel; one that lies in the padding is repeated. */
static const int8_t *pixels_from(const source *s, int32_t y, int32_t x, int32_t *step)
{
    const tidepool_window *w = s->w;
    *step = 0;
    if ((uint32_t)y >= (uint32_t)w->input_height || (uint32_t)x >= (uint32_t)w->input_width) {
        return s->padding;
    }
    *step = w->input_channels;
    return s->image + (y * w->input_width + x) * w->input_channels;
}

/* Packs columns first to end (exclusive) of a plane, if there are any: pixels of row y, and those `down`
 * below and `right` of them. */
static void pack_columns(const source *s, int32_t y, int32_t first, int32_t end, int32_t down,
                         int32_t right, uint16_t *plane)
{
    const int32_t from = (first > 0) ? first : 0;
    tidepool_mve_row_pair r;
    r.columns = smaller(end, s->columns) - from;
    r.channels = s->channels;
    if (r.columns > 0) {
        const int32_t x = from - s->w->pad_left;
        r.above = pixels_from(s, y, x, &r.step_above);
        r.below = pixels_from(s, y + down, x + right, &r.step_below);
        tidepool_mve_pack(&r, plane + from * TIDEPOOL_MVE_LANES);
    }
}

/* Packs a plane, as far as it doesn't lie in the padding. */
static void pack_plane(const source *s, int32_t y, uint16_t *plane)
{
    const tidepool_window *w = s->w;
    const int32_t begin = w->pad_left;
    const int32_t end = begin + w->input_width;
    if (w->filter_height > 1) {
        pack_columns(s, y, begin, end, w->dilation_height, 0, plane);
        return;
    }
    const int32_t right = w->dilation_width;
    const int32_t first = smaller(begin, end - right);
    const int32_t last = begin + end - right - first;
    pack_columns(s, y, begin - right, first, 0, right, plane);
    pack_columns(s, y, first, last, 0, right, plane);
    pack_columns(s, y, last, end, 0, right, plane);
}

/* Columns of a plane: those under the windows of a whole tile at least. */
static int32_t columns_of(const tidepool_window *w)
{
    const int32_t width =
        (w->output_width > TIDEPOOL_MVE_TILE) ? w->output_width : TIDEPOOL_MVE_TILE;
    return (width - 1) * w->stride_width +
           (tidepool_mve_halves_of_row(w) - 1) * tidepool_mve_half_step(w) + 1;
}

TIDEPOOL_KERNEL
void tidepool_depthwise_conv_2d_mve(const tidepool_depthwise_conv_2d_mve_params *params,
                                    const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t multiplier = params->depth_multiplier;
    const int32_t image = w->input_height * w->input_width * w->input_channels;
    const int32_t row = w->output_width * w->output_channels;
    const int32_t next_row = tidepool_mve_planes_of_row(params);
    const int32_t deep =
        ((w->filter_height + 1) / 2 - 1) * tidepool_mve_planes_of_pair(params) + 1;
    const int32_t columns = columns_of(w);
    const int32_t plane_size = columns * TIDEPOOL_MVE_LANES;
    const int32_t planes_size = plane_size * ((params->band - 1) * next_row + deep);
    const int32_t record = 3 + 4 * params->vectors;
    uint16_t *const planes = (uint16_t *)(void *)scratch;
    int8_t padding[TIDEPOOL_MVE_LANES];
    tidepool_fill_bytes(padding, params->input_zero_point, TIDEPOOL_MVE_LANES);
    tidepool_fill_bytes((int8_t *)scratch, params->input_zero_point, 2 * planes_size);
    tidepool_mve_results r = {params, planes, 2 * plane_size, 0, 1, 0, params->records, output, 0};
#if TIDEPOOL_HAS_MVE
    uint16_t offsets[TIDEPOOL_MVE_VECTORS * TIDEPOOL_MVE_LANES];
    tidepool_mve_tile_of_row *const tiles =
        (tidepool_mve_tile_of_row *)(void *)(planes + planes_size);
    tidepool_mve_list_halves(&r, offsets);
    tidepool_mve_list_rows(&r, tiles);
#endif
    for (int32_t c = 0; c < w->input_channels; c += TIDEPOOL_MVE_LANES) {
        source s = {w, input + c, padding, smaller(w->input_channels - c, TIDEPOOL_MVE_LANES),
                    columns};
        int8_t *of_rows = output + c * multiplier;
        for (int32_t b = 0; b < w->batches; ++b) {
            int32_t ready = 0;
            for (int32_t y = 0; y < w->output_height; y += r.rows) {
                r.rows = smaller(w->output_height - y, params->band);
                const int32_t needed = (r.rows - 1) * next_row + deep;
                for (; ready < needed; ++ready) {
                    const int32_t in_y = (y * next_row + ready) * params->rows_of_plane;
                    pack_plane(&s, in_y - w->pad_top, planes + ready * plane_size);
                }
                r.channels = (multiplier == 1) ? s.channels : multiplier;
                r.advance = (multiplier == 1) ? 1 : 0;
                for (r.lane = 0; r.lane < s.channels; r.lane += (multiplier == 1) ? s.channels : 1) {
                    r.output = of_rows + r.lane * multiplier;
                    r.records = params->records + (c + r.lane) * multiplier * record;
#if TIDEPOOL_HAS_MVE
                    tidepool_mve_run_windows(&r, tiles, offsets, output);
#else
                    tidepool_mve_run_windows(&r);
#endif
                }
                const int32_t passed = smaller(r.rows * next_row, ready);
                ready -= passed;
                tidepool_mve_copy_planes(planes, planes + passed * plane_size,
                                         2 * ready * plane_size);
                of_rows += r.rows * row;
            }
            s.image += image;
        }
    }
    tidepool_clamp_all(output, w->batches * w->output_height * row, params->output_min,
                       params->output_max);
}
