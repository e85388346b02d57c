/*
 * adopt-look.h: whether a plain file is an image, before all of it is stored
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_ADOPT_LOOK_H
#define VIMG_POOL_ADOPT_LOOK_H

#include "pool/backend.h"
#include "pool/job.h"

typedef struct {
    char *name;
    char *origin;
    guint64 length;
    guint64 allocation;
} VimgAdoptFile;

VimgAdoptFile *vimg_adopt_file_new(const VimgPluginFile *listed);
void vimg_adopt_file_free(VimgAdoptFile *file);

/* From its ends, so that no text is stored only to be found out; VIMG_ERROR_PROBE: it is none. */
gboolean vimg_adopt_look(VimgStore *store, const VimgAdoptFile *file, VimgJob *job, GError **error);
/* Whether it may be the image of @format that all of it says it is. */
gboolean vimg_adopt_check(const VimgAdoptFile *file, const char *format, GError **error);

#endif
