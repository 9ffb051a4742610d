/* DEPTHWISE_CONV_2D, int8, 3x3 with strides of 1 or 2, for cores with the vector extension.
 *
 * Eight channels at a time, over the whole image: some rows are packed by twos into planes of halves,
 * the padding being the input's zero point, and each channel's results are computed from them
 * (tidepool_mve_tiles.h). The last plane is the first one of the next rows, so that rows of the input
 * are read once, before results take their place. */
#include "tidepool_mve_tiles.h"

/* Packs rows y and y + 1 of an image, as far as they don't lie in the padding. */
static void pack_rows(const tidepool_window *w, const int8_t *image, const int8_t *padding, int32_t y,
                      tidepool_mve_row_pair *r, uint16_t *plane)
{
    const int32_t channels = w->input_channels;
    const int32_t row = w->input_width * channels;
    r->above = padding;
    r->below = padding;
    r->step_above = 0;
    r->step_below = 0;
    if ((uint32_t)y < (uint32_t)w->input_height) {
        r->above = image + y * row;
        r->step_above = channels;
    }
    if ((uint32_t)(y + 1) < (uint32_t)w->input_height) {
        r->below = image + (y + 1) * row;
        r->step_below = channels;
    }
    tidepool_mve_pack(r, plane + w->pad_left * TIDEPOOL_MVE_LANES);
}

/* Columns of a plane: those under the windows, of a whole tile at least. */
static int32_t columns_of(const tidepool_window *w)
{
    const int32_t tile = (w->stride_width == 1) ? 2 : 4;
    const int32_t width = (w->output_width > tile) ? w->output_width : tile;
    return (width - 1) * w->stride_width + 4;
}

TIDEPOOL_KERNEL
void tidepool_depthwise_3x3_mve(const tidepool_depthwise_3x3_mve_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t columns = columns_of(w);
    const int32_t image = w->input_height * w->input_width * w->input_channels;
    const int32_t result = w->output_height * w->output_width * w->output_channels;
    const int32_t rows_of_plane = (w->stride_height == 1) ? 2 : 1;
    const int32_t plane_size = columns * TIDEPOOL_MVE_LANES;
    const int32_t room = columns - w->pad_left;
    uint16_t *const planes = (uint16_t *)(void *)scratch;
    int8_t padding[TIDEPOOL_MVE_LANES];
    tidepool_fill_bytes(padding, params->input_zero_point, TIDEPOOL_MVE_LANES);
    tidepool_fill_bytes((int8_t *)scratch, params->input_zero_point,
                        2 * plane_size * (params->band + 1));
    tidepool_mve_band band = {params, planes, 2 * plane_size, params->records, 0, output, 0};
#if TIDEPOOL_HAS_MVE
    tidepool_mve_tile *const tiles =
        (tidepool_mve_tile *)(void *)(planes + plane_size * (params->band + 1));
    tidepool_mve_list_tiles(&band, tiles);
#endif
    for (int32_t c = 0; c < w->input_channels; c += TIDEPOOL_MVE_LANES) {
        const int32_t left = w->input_channels - c;
        band.channels = (left < TIDEPOOL_MVE_LANES) ? left : TIDEPOOL_MVE_LANES;
        tidepool_mve_row_pair r = {padding, padding, 0, 0, (w->input_width < room) ? w->input_width : room,
                      band.channels};
        for (int32_t b = 0; b < w->batches; ++b) {
            const int8_t *const from = input + b * image + c;
            int32_t in_y = -w->pad_top;
            band.output = output + b * result + c;
            pack_rows(w, from, padding, in_y, &r, planes);
            for (int32_t y = 0; y < w->output_height; y += band.rows) {
                const int32_t rows_left = w->output_height - y;
                const int32_t most = params->band * rows_of_plane;
                band.rows = (rows_left < most) ? rows_left : most;
                uint16_t *plane = planes;
                for (int32_t packed = 0; packed < band.rows; packed += rows_of_plane) {
                    plane += plane_size;
                    in_y += 2;
                    pack_rows(w, from, padding, in_y, &r, plane);
                }
#if TIDEPOOL_HAS_MVE
                tidepool_mve_run_band(&band, tiles, output);
#else
                tidepool_mve_run_band(&band);
#endif
                band.output += band.rows * w->output_width * w->output_channels;
                tidepool_mve_copy_planes(planes, plane, band.plane_bytes);
            }
        }
        band.records += TIDEPOOL_MVE_LANES * TIDEPOOL_MVE_RECORD;
    }
    tidepool_clamp_all(output, w->batches * result, params->output_min, params->output_max);
}
