/*
 * machine-fill.h: the content of an image becomes that of a disk
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_FILL_H
#define VIMG_CLI_MACHINE_FILL_H

#include "cli/image.h"
#include "cli/machine-undo.h"
#include "cli/progress.h"

/* A file or device of this host that is to hold what raw @image does. */
typedef struct {
    VimgCtl *ctl;
    const VimgImage *image;
    const char *path;
    const char *format;
    gboolean zeroed; /* it reads as zeros now */
    const char *phase;
    VimgProgress *progress;
    guint64 *done; /* bytes, counted on */
    guint64 total;
} VimgFill;

/* All of it is durable then.  Ctrl-C: VIMG_ERROR_ABORTED. */
gboolean vimg_fill_run(VimgFill *fill, GError **error);

/* Makes a new file of @size bytes in @format, as vimg_file_create() does. */
gboolean vimg_fill_create(VimgUndo *undo, const char *path, const char *format, guint64 size,
                          GError **error);

#endif
