/*
 * download.c: the bytes of one answer, as the client takes them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <zstd.h>

#include "exporter/download.h"

#define LEVEL 1
#define STRETCH ((guint64)64 * 1024 * 1024) /* of zeros, until it is asked whether to go on */
#define PLAIN_SIZE ((gsize)256 * 1024)

struct _VimgDownload {
    VimgExporterLink *link;
    guint8 hash[VIMG_EXPORTER_HASH_SIZE];
    guint64 at, end;
    guint64 zeros; /* that come next, and did not travel */

    ZSTD_CCtx *packer; /* NULL: it is not compressed */
    char *plain;
    ZSTD_inBuffer in; /* of @plain */
    gboolean packed;  /* all of it */
};

VimgDownload *
vimg_download_new(VimgExporterLink *link, const guint8 *hash, guint64 offset, guint64 length,
                  gboolean compress)
{
    VimgDownload *download = g_new0(VimgDownload, 1);

    download->link = link;
    memcpy(download->hash, hash, sizeof(download->hash));
    download->at = offset;
    download->end = offset + length;
    if (!compress)
        return download;
    download->packer = ZSTD_createCCtx();
    download->plain = g_malloc(PLAIN_SIZE);
    download->in.src = download->plain;
    ZSTD_CCtx_setParameter(download->packer, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(download->packer, ZSTD_c_checksumFlag, 1);
    return download;
}

void
vimg_download_free(VimgDownload *download)
{
    if (!download)
        return;
    ZSTD_freeCCtx(download->packer);
    g_free(download->plain);
    g_free(download);
}

/* As vimg_download_next(), not compressed. */
static ssize_t
next_plain(VimgDownload *download, char *out, gsize max)
{
    const VimgExporterRead read = {.offset = download->at,
                                   .length = MIN(download->end - download->at, STRETCH),
                                   .until = download->end,
                                   .place = VIMG_EXPORTER_NOWHERE,
                                   .out = out,
                                   .most = max};
    VimgExporterWay way = VIMG_EXPORTER_SENT;
    guint64 got = 0;

    if (download->at == download->end)
        return 0;
    if (download->zeros == 0) {
        if (vimg_exporter_link_read(download->link, download->hash, &read, &got, &way) !=
            VIMG_EXPORTER_OK)
            return -1;
        download->zeros = way == VIMG_EXPORTER_ZEROS ? got : 0;
    }
    if (download->zeros > 0) {
        got = MIN(max, download->zeros);
        memset(out, 0, (gsize)got);
        download->zeros -= got;
    }
    download->at += got;
    return (ssize_t)got;
}

static gboolean
fill(VimgDownload *download)
{
    ssize_t n = next_plain(download, download->plain, PLAIN_SIZE);

    download->in.size = (gsize)MAX(n, 0);
    download->in.pos = 0;
    return n >= 0;
}

static ssize_t
next_packed(VimgDownload *download, char *out, gsize max)
{
    ZSTD_outBuffer packed = {.dst = out, .size = max};

    while (packed.pos == 0 && !download->packed) {
        gboolean last;
        gsize left;

        if (download->in.pos == download->in.size && !fill(download))
            return -1;
        last = download->at == download->end;
        left = ZSTD_compressStream2(download->packer, &packed, &download->in,
                                    last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return -1;
        download->packed = last && left == 0;
    }
    return (ssize_t)packed.pos;
}

ssize_t
vimg_download_next(VimgDownload *download, char *out, gsize max)
{
    return download->packer ? next_packed(download, out, max) : next_plain(download, out, max);
}
