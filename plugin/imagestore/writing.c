/*
 * writing.c: the sign in a saving image that somebody writes it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "image.h"
#include "survey.h"
#include "throw.h"
#include "writing.h"

#define WRITING "writing."
#define MAX_ROUNDS 8
#define PAUSE_MIN 1000
#define PAUSE_MAX 50000

/* The name of a lease, without "pending/". */
static const char *
lease_name(const VimgLease *lease)
{
    return strrchr(lease->dir, '/') + 1;
}

static char *
sign_path(const VimgLease *lease, const char *uuid)
{
    g_autofree char *name = g_strconcat(WRITING, lease_name(lease), NULL);

    return vimg_image_path(uuid, name);
}

char *
vimg_writing_find(VimgSliceStore *store, const char *uuid, const char *but)
{
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    g_autoptr(GPtrArray) names = NULL;
    guint i;

    if (vimg_transport_list(store->transport, dir, &names) != 0)
        return NULL;
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        const char *lease = name + strlen(WRITING);
        g_autofree char *path = NULL;

        if (!g_str_has_prefix(name, WRITING) || g_strcmp0(lease, but) == 0)
            continue;
        if (vimg_survey_is_alive(store, lease))
            return g_strdup(lease);
        path = vimg_image_path(uuid, name);
        vimg_transport_unlink(store->transport, path);
    }
    return NULL;
}

static gboolean
throw_busy(VimgSliceStore *store, const char *lease, GError **error)
{
    g_autofree char *holder = vimg_survey_holder(store, lease);

    return throw_error(error, VIMG_ERROR_BUSY, _("the image is being written by %s"), holder);
}

gboolean
vimg_writing_check(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autofree char *lease = vimg_writing_find(store, uuid, NULL);

    return !lease || throw_busy(store, lease, error);
}

gboolean
vimg_writing_begin(VimgLease *lease, const char *uuid, const char *name, GError **error)
{
    VimgSliceStore *store = lease->store;
    g_autofree char *path = sign_path(lease, uuid);
    g_autofree char *other = NULL;
    gboolean claimed = FALSE;
    guint round;

    for (round = 0; round < MAX_ROUNDS; round++) {
        int result = vimg_transport_create(store->transport, path, "", 0, FALSE);

        if (result != 0 && result != ENOENT)
            return throw_result(error, result, _("cannot write to image %s"), uuid);
        g_free(other);
        other = vimg_writing_find(store, uuid, lease_name(lease));
        if (!other) {
            g_autoptr(GError) local = NULL;

            claimed = result == 0 && vimg_claim_holds(store, name, uuid, &local);
            if (claimed)
                return TRUE;
            if (local) {
                vimg_writing_end(lease, uuid);
                g_propagate_error(error, g_steal_pointer(&local));
                return FALSE;
            }
        }
        /* two that came at once both see the other; a collector that sees us gives the name back */
        vimg_writing_end(lease, uuid);
        g_usleep((gulong)g_random_int_range(PAUSE_MIN, PAUSE_MAX));
    }
    if (other)
        return throw_busy(store, other, error);
    return throw_error(error, VIMG_ERROR_NO_VOL, _("the image was deleted meanwhile"));
}

void
vimg_writing_end(VimgLease *lease, const char *uuid)
{
    g_autofree char *path = sign_path(lease, uuid);
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);

    /* durably, before the lease goes: a sign whose lease cannot be read blocks the image for long
     */
    if (vimg_transport_unlink(lease->store->transport, path) == 0)
        vimg_transport_sync(lease->store->transport, dir);
}
