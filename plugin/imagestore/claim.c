/*
 * claim.c: who has a name
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "throw.h"

#define MAX_ROUNDS 8
#define PAUSE_MIN 1000
#define PAUSE_MAX 50000

static char *
name_dir(const char *name)
{
    return g_strconcat("names/", name, NULL);
}

char *
vimg_claim_path(const char *name, const char *uuid)
{
    return g_strconcat("names/", name, "/", uuid, NULL);
}

gboolean
vimg_claim_is_left_over(VimgSliceStore *store, const char *name, const char *uuid)
{
    g_autofree char *mark = g_strconcat("images/", uuid, "/deleted", NULL);
    g_autofree char *claim = vimg_claim_path(name, uuid);
    VimgOp ops[] = {
        {.kind = VIMG_OP_STAT, .path = mark},
        {.kind = VIMG_OP_STAT, .path = claim},
    };

    vimg_transport_run(store->transport, ops, G_N_ELEMENTS(ops));
    return ops[0].result == 0 && ops[1].result == 0 && ops[1].info.mtime < ops[0].info.mtime;
}

/* Whether somebody but @uuid has the name; claims left over are removed. */
static int
find_other(VimgSliceStore *store, const char *name, const char *uuid, gboolean *out)
{
    g_autofree char *dir = name_dir(name);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(store->transport, dir, &names);
    guint i;

    *out = FALSE;
    if (result == ENOENT)
        return 0;
    for (i = 0; result == 0 && i < names->len; i++) {
        const char *other = g_ptr_array_index(names, i);

        if (strcmp(other, uuid) == 0)
            continue;
        if (vimg_claim_is_left_over(store, name, other)) {
            g_autofree char *path = vimg_claim_path(name, other);

            vimg_transport_unlink(store->transport, path);
        } else {
            *out = TRUE;
        }
    }
    return result;
}

static void
withdraw(VimgSliceStore *store, const char *name, const char *uuid)
{
    g_autofree char *dir = name_dir(name);
    g_autofree char *path = vimg_claim_path(name, uuid);

    vimg_transport_unlink(store->transport, path);
    vimg_transport_rmdir(store->transport, dir);
}

/*
 * One attempt.  @out: whether the name is ours; a directory that vanished under us because another
 * one withdrew counts as not yet.
 */
static int
try_take(VimgSliceStore *store, const char *name, const char *uuid, gboolean *out)
{
    g_autofree char *dir = name_dir(name);
    g_autofree char *path = vimg_claim_path(name, uuid);
    gboolean other = FALSE;
    int result = vimg_transport_mkdir(store->transport, dir);

    *out = FALSE;
    if (result != 0 && result != EEXIST)
        return result;
    result = vimg_transport_create(store->transport, path, "", 0, FALSE);
    if (result == ENOENT)
        return 0;
    if (result == EEXIST)
        result = 0;
    if (result == 0)
        result = find_other(store, name, uuid, &other);
    if (result == 0 && !other) {
        *out = TRUE;
        result = vimg_transport_sync(store->transport, dir);
    }
    if (result == 0 && !other)
        result = vimg_transport_sync(store->transport, "names");
    if (result != 0 || other)
        withdraw(store, name, uuid);
    return result;
}

gboolean
vimg_claim_take(VimgSliceStore *store, const char *name, const char *uuid, GError **error)
{
    guint round;

    for (round = 0; round < MAX_ROUNDS; round++) {
        gboolean other = FALSE;
        gboolean taken = FALSE;
        int result = find_other(store, name, uuid, &other);

        /* a lasting claim is there before ours; one made at the same moment may be withdrawn */
        if (result == 0 && other && round == 0)
            break;
        if (result == 0 && !other)
            result = try_take(store, name, uuid, &taken);
        if (result != 0)
            return throw_result(error, result, _("cannot claim the name '%s'"), name);
        if (taken)
            return TRUE;
        g_usleep((gulong)g_random_int_range(PAUSE_MIN, PAUSE_MAX));
    }
    return throw_error(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name);
}

gboolean
vimg_claim_release(VimgSliceStore *store, const char *name, const char *uuid, GError **error)
{
    g_autofree char *dir = name_dir(name);
    g_autofree char *path = uuid ? vimg_claim_path(name, uuid) : NULL;
    int result = path ? vimg_transport_unlink(store->transport, path) : 0;

    if (result == ENOENT)
        return TRUE;
    if (result == 0) {
        result = vimg_transport_rmdir(store->transport, dir);
        /* somebody claimed the name at once */
        if (result == ENOTEMPTY || result == EEXIST)
            result = vimg_transport_sync(store->transport, dir);
        if (result == 0 || result == ENOENT)
            result = vimg_transport_sync(store->transport, "names");
    }
    if (result != 0)
        return throw_result(error, result, _("cannot release the name '%s'"), name);
    return TRUE;
}

gboolean
vimg_claim_holds(VimgSliceStore *store, const char *name, const char *uuid, GError **error)
{
    g_autofree char *path = vimg_claim_path(name, uuid);
    VimgFileInfo info;
    int result = vimg_transport_stat(store->transport, path, &info);

    if (result != 0 && result != ENOENT)
        return throw_result(error, result, _("cannot look up the name '%s'"), name);
    return result == 0;
}
