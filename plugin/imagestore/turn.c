/*
 * turn.c: one change of an image at a time, whichever host it comes from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image.h"
#include "throw.h"
#include "turn.h"

#define TURN "turn."
#define MAX_ROUNDS 40
#define PAUSE_MIN 1000
#define PAUSE_MAX 50000

static gboolean
is_alive(VimgTransport *transport, const char *lease)
{
    g_autofree char *dir = g_strconcat("pending/", lease, NULL);
    VimgFileInfo info;

    return vimg_transport_stat(transport, dir, &info) != ENOENT;
}

/* Whether somebody else has the turn or wants it; what is nobody's is removed. */
static int
find_other(const VimgTurn *turn, const char *uuid, gboolean *out)
{
    VimgTransport *transport = turn->lease->store->transport;
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(transport, dir, &names);
    guint i;

    *out = FALSE;
    for (i = 0; result == 0 && i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = vimg_image_path(uuid, name);

        if (!g_str_has_prefix(name, TURN) || strcmp(path, turn->path) == 0)
            continue;
        if (is_alive(transport, name + strlen(TURN)))
            *out = TRUE;
        else
            vimg_transport_unlink(transport, path);
    }
    return result;
}

/* One attempt: EBUSY while another one has it. */
static int
attempt(const VimgTurn *turn, const char *uuid)
{
    VimgTransport *transport = turn->lease->store->transport;
    gboolean other = FALSE;
    int result = vimg_transport_create(transport, turn->path, "", 0, FALSE);

    if (result != 0)
        return result;
    result = find_other(turn, uuid, &other);
    if (result != 0 || other)
        vimg_transport_unlink(transport, turn->path);
    return result == 0 && other ? EBUSY : result;
}

/* @out: (transfer full); also if it could not be had, for its lease to be ended */
static int
take(VimgLease *owned, const char *uuid, guint rounds, VimgTurn **out)
{
    g_autofree char *id = g_path_get_basename(owned->dir);
    g_autofree char *name = g_strconcat(TURN, id, NULL);
    int result;

    *out = g_new0(VimgTurn, 1);
    (*out)->lease = owned;
    (*out)->path = vimg_image_path(uuid, name);
    result = attempt(*out, uuid);
    while (result == EBUSY && --rounds > 0) {
        g_usleep((gulong)g_random_int_range(PAUSE_MIN, PAUSE_MAX));
        result = attempt(*out, uuid);
    }
    return result;
}

VimgTurn *
vimg_turn_try(VimgSliceStore *store, const char *uuid)
{
    g_autoptr(VimgTurn) turn = NULL;
    VimgLease *lease = vimg_lease_new(store, NULL);

    if (!lease || take(lease, uuid, 1, &turn) != 0)
        return NULL;
    return g_steal_pointer(&turn);
}

VimgTurn *
vimg_turn_new(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgTurn) turn = NULL;
    VimgLease *lease = vimg_lease_new(store, error);
    int result;

    if (!lease)
        return NULL;
    result = take(lease, uuid, MAX_ROUNDS, &turn);
    if (result == 0)
        return g_steal_pointer(&turn);
    if (result == ENOENT || result == ENOTDIR)
        throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid);
    else if (result == EBUSY)
        throw_error(error, VIMG_ERROR_BUSY, _("image %s is being changed by somebody else"), uuid);
    else
        throw_result(error, result, _("cannot change image %s"), uuid);
    return NULL;
}

void
vimg_turn_free(VimgTurn *turn)
{
    if (!turn)
        return;
    vimg_transport_unlink(turn->lease->store->transport, turn->path);
    vimg_lease_free(turn->lease);
    g_free(turn->path);
    g_free(turn);
}
