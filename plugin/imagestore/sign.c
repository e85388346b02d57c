/*
 * sign.c: signs in the directory of an image that somebody is at work on it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "image.h"
#include "sign.h"
#include "survey.h"

/* The name of a lease, without "pending/". */
static const char *
lease_name(const VimgLease *lease)
{
    return strrchr(lease->dir, '/') + 1;
}

char *
vimg_sign_path(const VimgLease *lease, const char *uuid, const char *kind)
{
    g_autofree char *name = g_strconcat(kind, lease_name(lease), NULL);

    return vimg_image_path(uuid, name);
}

/* @names: (transfer full) what the directory holds; else as vimg_sign_find(). */
static int
find(VimgSliceStore *store, const char *uuid, const char *kind, const VimgLease *but,
     GPtrArray **names, char **out)
{
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    int result = vimg_transport_list(store->transport, dir, names);
    guint i;

    *out = NULL;
    for (i = 0; result == 0 && !*out && i < (*names)->len; i++) {
        const char *name = g_ptr_array_index(*names, i);
        const char *lease = name + strlen(kind);
        g_autofree char *path = vimg_image_path(uuid, name);

        if (!g_str_has_prefix(name, kind) || (but && strcmp(lease, lease_name(but)) == 0))
            continue;
        if (vimg_survey_is_alive(store, lease))
            *out = g_strdup(lease);
        else
            vimg_transport_unlink(store->transport, path);
    }
    return result;
}

int
vimg_sign_find(VimgSliceStore *store, const char *uuid, const char *kind, const VimgLease *but,
               char **out)
{
    g_autoptr(GPtrArray) names = NULL;

    return find(store, uuid, kind, but, &names, out);
}

int
vimg_sign_try(VimgLease *lease, const char *uuid, const char *kind, GPtrArray **names, char **other)
{
    VimgTransport *transport = lease->store->transport;
    g_autoptr(GPtrArray) found = NULL;
    g_autofree char *path = vimg_sign_path(lease, uuid, kind);
    int result = vimg_transport_create(transport, path, "", 0, FALSE);

    *other = NULL;
    if (result != 0)
        return result;
    result = find(lease->store, uuid, kind, lease, &found, other);
    if (result == 0 && *other)
        result = EBUSY;
    if (result != 0)
        vimg_transport_unlink(transport, path);
    else if (names)
        *names = g_steal_pointer(&found);
    return result;
}

void
vimg_sign_end(VimgLease *lease, const char *uuid, const char *kind)
{
    g_autofree char *path = vimg_sign_path(lease, uuid, kind);

    vimg_transport_unlink(lease->store->transport, path);
}

void
vimg_sign_pause(const VimgSliceStore *store)
{
    g_usleep((gulong)g_random_int_range(0, (gint32)store->pause) + 1);
}
