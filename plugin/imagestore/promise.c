/*
 * promise.c: images that no host removes before a time, though they be deleted
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image.h"
#include "promise.h"
#include "../throw.h"

#define PREFIX "kept."
#define ID_SIZE 36 /* bytes of a uuid */

gint64
vimg_promise_until(const char *name)
{
    const gsize size = strlen(PREFIX) + ID_SIZE;
    guint64 until;

    if (!g_str_has_prefix(name, PREFIX) || strnlen(name, size) < size || name[size] != '.' ||
        !g_ascii_string_to_unsigned(name + size + 1, 10, 1, G_MAXINT64, &until, NULL))
        return 0;
    return (gint64)until;
}

gboolean
vimg_promise_holds(gint64 until)
{
    return until > g_get_real_time() / G_USEC_PER_SEC;
}

static char *
name_of(const char *id, gint64 until)
{
    return g_strdup_printf(PREFIX "%s.%" G_GINT64_FORMAT, id, until);
}

/* Those of @id, but @but.  Returns: 0, also if the image is gone, or a value of errno. */
static int
end_others(VimgSliceStore *store, const char *uuid, const char *id, const char *but)
{
    g_autofree char *dir = vimg_image_dir(uuid);
    g_autofree char *prefix = g_strconcat(PREFIX, id, ".", NULL);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(store->transport, dir, &names);
    guint i;

    for (i = 0; result == 0 && i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = vimg_image_path(uuid, name);

        if (g_str_has_prefix(name, prefix) && g_strcmp0(name, but) != 0)
            result = vimg_transport_unlink(store->transport, path);
        if (result == ENOENT)
            result = 0;
    }
    return result == ENOENT ? 0 : result;
}

/* Durable when it returns.  Returns: 0 or a value of errno. */
static int
make(VimgSliceStore *store, const char *uuid, const char *name)
{
    g_autofree char *dir = vimg_image_dir(uuid);
    g_autofree char *path = vimg_image_path(uuid, name);
    int result = vimg_transport_create_durable(store->transport, path, "", 0, TRUE);

    if (result != 0 && result != EEXIST)
        return result;
    return vimg_transport_sync(store->transport, dir);
}

gboolean
vimg_promise_keep(VimgSliceStore *store, const char *uuid, const char *id, gint64 until,
                  GError **error)
{
    g_autofree char *name = until > 0 ? name_of(id, until) : NULL;
    g_auto(VimgStoredImage) image = {0};
    int result = 0;

    if (store->read_only)
        return TRUE;
    if (name)
        result = make(store, uuid, name);
    /* only now: deleted before, it may be on its way out without anybody looking at this */
    if (name && result == 0 && !vimg_image_load(store, uuid, &image, error)) {
        end_others(store, uuid, id, NULL);
        return FALSE;
    }
    if (result == 0)
        result = end_others(store, uuid, id, name);
    if (result == ENOENT)
        return throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid);
    return result == 0 || throw_result(error, result, _("cannot keep image %s"), uuid);
}
