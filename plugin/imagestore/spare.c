/*
 * spare.c: space put by for emptying a full file system
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "spare.h"

#define SIZE ((gsize)1024 * 1024)

void
vimg_spare_make(VimgTransport *transport)
{
    g_autofree guint32 *noise = NULL;
    VimgFileInfo info;
    int result;
    gsize i;

    if (vimg_transport_stat(transport, VIMG_SPARE_FILE, &info) == 0) {
        if (info.size >= SIZE)
            return;
        /* cut off on the way */
        vimg_transport_unlink(transport, VIMG_SPARE_FILE);
    }
    /* of what compresses, some file systems would keep nothing */
    noise = g_new(guint32, SIZE / sizeof(guint32));
    for (i = 0; i < SIZE / sizeof(guint32); i++)
        noise[i] = g_random_int();
    result = vimg_transport_create(transport, VIMG_SPARE_FILE, noise, SIZE, FALSE);
    if (result == 0)
        result = vimg_transport_sync(transport, VIMG_SPARE_FILE);
    if (result == 0)
        result = vimg_transport_sync(transport, "gc");
    if (result != 0 && result != EEXIST)
        vimg_transport_unlink(transport, VIMG_SPARE_FILE);
}

gboolean
vimg_spare_use(VimgTransport *transport, int result)
{
    return (result == ENOSPC || result == EDQUOT) &&
           vimg_transport_unlink(transport, VIMG_SPARE_FILE) == 0;
}
