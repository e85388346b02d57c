/*
 * trash.h: deleted images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_TRASH_H
#define VIMG_IMAGESTORE_TRASH_H

#include "image.h"
#include "turn.h"

gboolean vimg_trash_list(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error);
/*
 * VIMG_ERROR_NO_VOL: it is not in the trash, or somebody was quicker.  A failure leaves it there,
 * though perhaps under the new name.
 */
gboolean vimg_trash_restore(VimgSliceStore *store, const char *uuid, const char *name,
                            VimgPluginImage *out, GError **error);
/*
 * Takes an image that is in the trash away for good, in its turn.  Errors as above: somebody, a
 * restore, was quicker.
 */
gboolean vimg_trash_remove(const VimgTurn *turn, const VimgStoredImage *image, GError **error);
gboolean vimg_trash_purge(VimgSliceStore *store, const char *uuid, GError **error);

#endif
