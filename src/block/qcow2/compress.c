/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed clusters: raw deflate with a window of 4 KiB, or zstd frames.
 *
 * Other programs decompress with exactly that window, so most fast compressors are of no use:
 * ISA-L's can be told its size. For decompression any size does. */
#include <isa-l/igzip_lib.h>
#include <libdeflate.h>
#include <zstd.h>

#include "block/qcow2/qcow2.h"

enum { WINDOW_BITS = 12, DEFLATE_LEVEL = 3 };

/* Each thread's own, kept until it ends. */
struct coders {
    struct libdeflate_decompressor *inflate;
    ZSTD_CCtx *zstd_out;
    ZSTD_DCtx *zstd_in;
    struct isal_zstream *deflate;
    uint8_t *deflate_level;
};

static void coders_free(gpointer opaque)
{
    struct coders *coders = opaque;
    libdeflate_free_decompressor(coders->inflate);
    ZSTD_freeCCtx(coders->zstd_out);
    ZSTD_freeDCtx(coders->zstd_in);
    g_free(coders->deflate);
    g_free(coders->deflate_level);
    g_free(coders);
}

static struct coders *coders_get(void)
{
    static GPrivate key = G_PRIVATE_INIT(coders_free);
    struct coders *coders = g_private_get(&key);
    if (!coders) {
        coders = g_new0(struct coders, 1);
        g_private_set(&key, coders);
    }
    return coders;
}

static int deflate_cluster(struct coders *coders, const void *in, uint32_t size, void *out)
{
    if (!coders->deflate) {
        coders->deflate = g_new(struct isal_zstream, 1);
        coders->deflate_level = g_malloc(ISAL_DEF_LVL3_DEFAULT);
    }
    struct isal_zstream *stream = coders->deflate;
    isal_deflate_stateless_init(stream);
    isal_deflate_init(stream);
    stream->hist_bits = WINDOW_BITS;
    stream->level = DEFLATE_LEVEL;
    stream->level_buf = coders->deflate_level;
    stream->level_buf_size = ISAL_DEF_LVL3_DEFAULT;
    stream->gzip_flag = IGZIP_DEFLATE;
    stream->end_of_stream = 1;
    stream->flush = NO_FLUSH;
    stream->next_in = (uint8_t *)in;
    stream->avail_in = size;
    stream->next_out = out;
    stream->avail_out = size - 1;
    if (isal_deflate(stream) != COMP_OK)
        return -EIO;
    bool ended = stream->internal_state.state == ZSTATE_END && !stream->avail_in;
    return ended ? stream->total_out : 0;
}

static int zstd_cluster(struct coders *coders, const void *in, uint32_t size, void *out)
{
    if (!coders->zstd_out)
        coders->zstd_out = ZSTD_createCCtx();
    if (!coders->zstd_out)
        return -ENOMEM;
    size_t result =
        ZSTD_compressCCtx(coders->zstd_out, out, size - 1, in, size, ZSTD_CLEVEL_DEFAULT);
    return ZSTD_isError(result) ? 0 : result;
}

int qcow2_compress(const struct qcow2 *s, const void *cluster, void *out)
{
    struct coders *coders = coders_get();
    return s->header.compression == QCOW2_ZSTD
               ? zstd_cluster(coders, cluster, s->cluster_size, out)
               : deflate_cluster(coders, cluster, s->cluster_size, out);
}

static int unzstd(struct coders *coders, const void *in, uint32_t bytes, void *cluster,
                  uint32_t size)
{
    ZSTD_inBuffer input = { in, bytes, 0 };
    ZSTD_outBuffer output = { cluster, size, 0 };

    if (!coders->zstd_in)
        coders->zstd_in = ZSTD_createDCtx();
    if (!coders->zstd_in)
        return -ENOMEM;
    ZSTD_DCtx_reset(coders->zstd_in, ZSTD_reset_session_only);
    while (output.pos < size) {
        size_t before = output.pos + input.pos;
        size_t result = ZSTD_decompressStream(coders->zstd_in, &output, &input);
        if (ZSTD_isError(result) || before == output.pos + input.pos)
            return -EIO;
    }
    return 0;
}

int qcow2_decompress(const struct qcow2 *s, const void *in, uint32_t bytes, void *cluster)
{
    struct coders *coders = coders_get();
    size_t got;

    if (s->header.compression == QCOW2_ZSTD)
        return unzstd(coders, in, bytes, cluster, s->cluster_size);
    if (!coders->inflate)
        coders->inflate = libdeflate_alloc_decompressor();
    if (!coders->inflate)
        return -ENOMEM;
    if (libdeflate_deflate_decompress(coders->inflate, in, bytes, cluster, s->cluster_size, &got)
        || got != s->cluster_size)
        return -EIO;
    return 0;
}
