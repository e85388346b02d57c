/*
 * inspect.h: what a disk image file is, from its bytes alone
 *
 * An inspector looks at the content of an image while it passes, from the first byte to the last.
 * It reads headers and tables only, in a memory of fixed size, and asks nobody else.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGE_INSPECT_H
#define VIMG_IMAGE_INSPECT_H

#include "vimg-plugin.h"

#define VIMG_INSPECT_HEAD 4096 /* so many first bytes, or all, are enough to sniff */
#define VIMG_INSPECT_END 1536  /* so many last bytes tell something in every format */

typedef struct _VimgInspector VimgInspector;

typedef struct {
    const char *format; /* static: raw, iso, qcow2, vmdk, vpc, vdi, vhdx */
    guint64 capacity;   /* virtual size in bytes; raw, iso: the length received */
} VimgInspection;

/* Returns: (transfer full) the only allocation there is, less than 128 KiB. */
VimgInspector *vimg_inspector_new(void);

/* Accepts NULL. */
void vimg_inspector_free(VimgInspector *inspector);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgInspector, vimg_inspector_free)

/*
 * The next @size bytes; @data NULL: zeros, which may be terabytes.  However the same content is
 * split, the verdict is the same.
 */
void vimg_inspector_feed(VimgInspector *inspector, const guint8 *data, guint64 size);

/*
 * How many of the next bytes tell nothing, so that zeros may be fed in their place, unless the last
 * VIMG_INSPECT_END of the image are among them.  What is ahead shows as it goes: ask again then.
 */
guint64 vimg_inspector_idle(const VimgInspector *inspector);

/*
 * What the first VIMG_INSPECT_HEAD bytes look like: raw, qcow2, vmdk, vdi, vpc or vhdx.  Behind
 * them it costs nothing; a finish may find more.
 */
const char *vimg_inspector_sniff(const VimgInspector *inspector);

/*
 * Everything came.  @declared NULL: what is found is taken.  VIMG_ERROR_CONFIG_UNSUPPORTED: a good
 * image that we do not store; VIMG_ERROR_PROBE: another format than declared, damaged or cut off.
 * Once an inspector.
 */
gboolean vimg_inspector_finish(VimgInspector *inspector, const char *declared, VimgInspection *out,
                               GError **error);

#endif
