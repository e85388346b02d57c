/*
 * machine-extents.c: what is where on a disk that is served over NBD
 *
 * The server is asked about a stretch at a time, and answers about each context as far as it likes.
 * What it says is believed as far as it is sane: lengths of zero or beyond the end are not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/machine-extents.h"
#include "util/error.h"
#include "util/i18n.h"

/* Flags of the two contexts, from the NBD protocol and from QEMU's interop/nbd.txt. */
#define ZERO 2
#define DIRTY 1

typedef struct {
    const char *context; /* NULL: not asked about */
    GArray *list;        /* of guint32 pairs: length, flags */
    guint next;          /* pair */
    guint64 end;         /* where that pair ends */
} Track;

struct _VimgExtents {
    struct nbd_handle *handle;
    guint64 size;
    char *bitmap;
    Track zeros, changes;
};

static int
on_extents(void *data, const char *context, uint64_t offset, uint32_t *entries, size_t n,
           int *failed)
{
    VimgExtents *extents = data;
    Track *tracks[] = {&extents->zeros, &extents->changes};

    for (gsize i = 0; i < G_N_ELEMENTS(tracks); i++)
        if (g_strcmp0(tracks[i]->context, context) == 0)
            g_array_append_vals(tracks[i]->list, entries, (guint)n);
    return 0;
}

static void
begin(Track *track, guint64 at)
{
    g_array_set_size(track->list, 0);
    track->next = 0;
    track->end = at;
}

/* Moves @track to what is at @at.  Returns: FALSE if it ends before. */
static gboolean
reach(Track *track, guint64 at)
{
    while (track->end <= at && 2 * track->next + 1 < track->list->len) {
        track->end += g_array_index(track->list, guint32, 2 * track->next);
        track->next++;
    }
    return !track->context || track->end > at;
}

static guint32
flags_of(const Track *track)
{
    return track->next > 0 ? g_array_index(track->list, guint32, 2 * track->next - 1) : 0;
}

gboolean
vimg_extents_throw(struct nbd_handle *handle, GError **error)
{
    g_autofree char *why = g_strdup(nbd_get_error()); /* what is asked for next forgets it */

    if (nbd_aio_is_dead(handle) == 1 || nbd_aio_is_closed(handle) == 1)
        return vimg_throw(error, VIMG_ERROR_SYSTEM, "%s",
                          _("the disk is served no more: the machine or its backup job ended"));
    return vimg_throw(error, VIMG_ERROR_SYSTEM, _("the disk cannot be read over NBD: %s"),
                      why ? why : "?");
}

static gboolean
ask(VimgExtents *extents, guint64 at, GError **error)
{
    nbd_extent_callback callback = {.callback = on_extents, .user_data = extents};

    begin(&extents->zeros, at);
    begin(&extents->changes, at);
    if (nbd_block_status(extents->handle, MIN(extents->size - at, VIMG_EXTENTS_MAX), at, callback,
                         0) < 0)
        return vimg_extents_throw(extents->handle, error);
    if (reach(&extents->zeros, at) && reach(&extents->changes, at))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_SYSTEM, _("the disk cannot be read over NBD: %s"),
                      _("the server does not say what is where"));
}

gboolean
vimg_extents_next(VimgExtents *extents, guint64 at, VimgNbdKind *kind, guint64 *length,
                  GError **error)
{
    guint64 end = extents->size;

    *kind = VIMG_NBD_DATA;
    if ((extents->zeros.context || extents->changes.context) &&
        !(reach(&extents->zeros, at) && reach(&extents->changes, at)) && !ask(extents, at, error))
        return FALSE;
    if (extents->zeros.context) {
        *kind = (flags_of(&extents->zeros) & ZERO) ? VIMG_NBD_HOLE : VIMG_NBD_DATA;
        end = MIN(end, extents->zeros.end);
    }
    if (extents->changes.context) {
        *kind = (flags_of(&extents->changes) & DIRTY) ? *kind : VIMG_NBD_SAME;
        end = MIN(end, extents->changes.end);
    }
    *length = end - at;
    return TRUE;
}

VimgExtents *
vimg_extents_new(struct nbd_handle *handle, guint64 size, const char *bitmap, GError **error)
{
    VimgExtents *extents;

    if (bitmap && nbd_can_meta_context(handle, bitmap) != 1) {
        vimg_throw(error, VIMG_ERROR_SYSTEM, "%s",
                   _("the server does not say what was changed since the last image"));
        return NULL;
    }
    extents = g_new0(VimgExtents, 1);
    extents->handle = handle;
    extents->size = size;
    extents->bitmap = g_strdup(bitmap);
    extents->zeros.list = g_array_new(FALSE, FALSE, sizeof(guint32));
    extents->changes.list = g_array_new(FALSE, FALSE, sizeof(guint32));
    extents->changes.context = extents->bitmap;
    if (nbd_can_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1)
        extents->zeros.context = LIBNBD_CONTEXT_BASE_ALLOCATION;
    return extents;
}

void
vimg_extents_free(VimgExtents *extents)
{
    if (!extents)
        return;
    g_array_unref(extents->zeros.list);
    g_array_unref(extents->changes.list);
    g_free(extents->bitmap);
    g_free(extents);
}
