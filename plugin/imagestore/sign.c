/*
 * sign.c: signs in the directory of an image that somebody is at work on it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "claim.h"
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

/* The first of @ops, which are run at once, is the LIST; else as vimg_sign_find(). */
static int
find(VimgSliceStore *store, VimgOp *ops, gsize n, const char *uuid, const char *kind,
     const VimgLease *but, char **out)
{
    const VimgOp *list = &ops[0];
    guint i;

    *out = NULL;
    vimg_transport_run(store->transport, ops, n);
    for (i = 0; list->result == 0 && !*out && i < list->names->len; i++) {
        const char *name = g_ptr_array_index(list->names, i);
        const char *lease = name + strlen(kind);
        g_autofree char *path = vimg_image_path(uuid, name);

        if (!g_str_has_prefix(name, kind) || (but && strcmp(lease, lease_name(but)) == 0))
            continue;
        if (vimg_survey_is_alive(store, lease))
            *out = g_strdup(lease);
        else
            vimg_transport_unlink(store->transport, path);
    }
    return list->result;
}

int
vimg_sign_find(VimgSliceStore *store, const char *uuid, const char *kind, const VimgLease *but,
               char **out)
{
    VimgOp op = {.kind = VIMG_OP_LIST, .path = vimg_image_dir(uuid)};
    int result = find(store, &op, 1, uuid, kind, but, out);

    vimg_transport_clear_ops(&op, 1, TRUE);
    return result;
}

/* The same after a sign of our own was made. */
static int
find_other(VimgLease *lease, const char *uuid, const char *kind, VimgSeen *seen, char **other)
{
    VimgOp ops[2] = {{.kind = VIMG_OP_LIST, .path = vimg_image_dir(uuid)}, {.kind = VIMG_OP_STAT}};
    gboolean ask = seen && seen->manifest;
    gsize n = 1;
    int result;

    if (ask)
        ops[n++].path = vimg_claim_path(seen->manifest->image.name, uuid);
    result = find(lease->store, ops, n, uuid, kind, lease, other);
    if (ask)
        seen->still = result == 0 && ops[1].result == 0 &&
                      vimg_image_is_still(seen->manifest, ops[0].names, &seen->durable);
    vimg_transport_clear_ops(ops, n, TRUE);
    return result;
}

int
vimg_sign_try(VimgLease *lease, const char *uuid, const char *kind, VimgSeen *seen, char **other)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *path = vimg_sign_path(lease, uuid, kind);
    int result = vimg_transport_create(transport, path, "", 0, FALSE);

    *other = NULL;
    if (result != 0)
        return result;
    result = find_other(lease, uuid, kind, seen, other);
    if (result == 0 && *other)
        result = EBUSY;
    if (result != 0)
        vimg_transport_unlink(transport, path);
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
