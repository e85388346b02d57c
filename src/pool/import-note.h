/*
 * import-note.h: what an unfinished import was of, so that it goes on only with the same
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_IMPORT_NOTE_H
#define VIMG_POOL_IMPORT_NOTE_H

#include <glib.h>

/* Of the image @uuid, below @state_dir.  @identity: that of vimg_fetch_identity(). */
gboolean vimg_import_note(const char *state_dir, const char *uuid, const char *identity,
                          GError **error);
gboolean vimg_import_noted(const char *state_dir, const char *uuid, const char *identity);
/* A failure costs a small file, for a while. */
void vimg_import_forget(const char *state_dir, const char *uuid);

#endif
