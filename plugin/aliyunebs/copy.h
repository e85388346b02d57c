/*
 * copy.h: objects copied inside of the storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_COPY_H
#define VIMG_ALIYUNEBS_COPY_H

#include "object.h"

/* Borrowed. */
typedef struct {
    const char *from;
    const VimgOssObject *object; /* as vimg_oss_head() gave it: no other one is copied */
    const char *to;
    const GPtrArray *metadata; /* of VimgPair, instead of the object's own */
    gboolean exclusive;        /* VIMG_ERROR_VOL_EXISTS if there is one already */
    guint64 part_size;         /* bytes; a larger object goes in parts; 0: 512 MiB */
    const VimgPatience *patience;
    /* before the first part: upload @id has to be taken back if all ends here; NULL: none */
    gboolean (*begun)(gpointer data, const char *id, GError **error);
    void (*progress)(gpointer data, guint64 done, guint64 total); /* after each part; NULL: none */
    gpointer data;
} VimgOssCopy;

/*
 * VIMG_ERROR_FAILED if it no longer is that object, VIMG_ERROR_DAMAGED if the copy is another one;
 * a failure leaves nothing of it behind that could be taken back.
 */
gboolean vimg_oss_copy(VimgOss *oss, const VimgOssCopy *copy, VimgOssObject *out, GError **error);

#endif
