/*
 * store-make.c: what lies where a slice store is to be, and making one there
 *
 * store.json is written last and never changed: a root without it holds no store, whatever
 * directories an interrupted making left there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "json.h"
#include "slice.h"
#include "slicer.h"
#include "spare.h"
#include "store.h"
#include "../throw.h"

static const char *const directories[] = {
    VIMG_SLICES_DIR, "names", "images", "pending", "gc", "bad", NULL,
};

/* ---- what lies at the root -------------------------------------------------------------- */

/* A directory of ours that holds no image yet: what an interrupted making leaves. */
static gboolean
is_remnant(VimgTransport *transport, const char *name)
{
    g_autoptr(GPtrArray) names = NULL;

    if (!g_strv_contains(directories, name))
        return FALSE;
    if (strcmp(name, "images") != 0 && strcmp(name, "names") != 0)
        return TRUE;
    return vimg_transport_list(transport, name, &names) == 0 && names->len == 0;
}

gboolean
vimg_slice_store_survey(VimgTransport *transport, VimgPlace *out, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    VimgFileInfo info;
    int result;
    guint i;

    *out = VIMG_PLACE_STORE;
    if (vimg_transport_stat(transport, VIMG_STORE_FILE, &info) == 0)
        return TRUE;
    result = vimg_transport_list(transport, ".", &names);
    *out = VIMG_PLACE_MISSING;
    if (result == ENOENT)
        return TRUE;
    if (result != 0)
        return throw_result(error, result, _("cannot read the directory of the store"));
    *out = VIMG_PLACE_EMPTY;
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (strcmp(name, VIMG_STORE_FILE) == 0) {
            *out = VIMG_PLACE_STORE;
            return TRUE;
        }
        /* every fresh ext4 file system has a lost+found */
        if (strcmp(name, "lost+found") != 0 && !is_remnant(transport, name))
            *out = VIMG_PLACE_FOREIGN;
    }
    return TRUE;
}

/* ---- making ----------------------------------------------------------------------------- */

static gboolean
make_directory(VimgTransport *transport, const char *path, GError **error)
{
    int result = vimg_transport_mkdir(transport, path);

    if (result != 0 && result != EEXIST)
        return throw_result(error, result, _("cannot create directory '%s'"), path);
    return TRUE;
}

/*
 * A durable file, whole from the moment it is there.  One that is there already came the same way,
 * from an interrupted making or from another host that makes a store here now: it stays.
 */
static gboolean
make_file(VimgTransport *transport, const char *path, gconstpointer data, gsize size,
          GError **error)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *staged = g_strconcat("pending/new-", uuid, NULL);
    int result = vimg_transport_create(transport, staged, data, size, TRUE);

    if (result == 0)
        result = vimg_transport_sync(transport, staged);
    if (result == 0)
        result = vimg_transport_publish(transport, staged, path);
    if (result != 0)
        vimg_transport_unlink(transport, staged);
    if (result != 0 && result != EEXIST)
        return throw_result(error, result, _("cannot create '%s'"), path);
    return TRUE;
}

static gboolean
make_zero_slice(VimgTransport *transport, VimgSliceTools *tools, const guint8 *zeros,
                guint64 length, GError **error)
{
    const VimgSliceId *id = vimg_zero_id(length);
    g_autofree char *dir = vimg_slice_dir(id);
    g_autofree char *path = vimg_slice_path(id);
    const guint8 *frame;
    gsize size;
    int result;

    frame = vimg_slice_compress(tools, zeros, length, VIMG_COMPRESSION_DEFAULT, &size, error);
    if (!frame || !make_directory(transport, dir, error) ||
        !make_file(transport, path, frame, size, error))
        return FALSE;
    result = vimg_transport_sync(transport, dir);
    if (result != 0)
        return throw_result(error, result, _("cannot create directory '%s'"), dir);
    return TRUE;
}

static gboolean
make_zero_slices(VimgTransport *transport, guint64 slice_size, GError **error)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autofree guint8 *zeros = g_malloc0(VIMG_ZERO_MAX);
    guint64 length;

    for (length = slice_size; length <= VIMG_ZERO_MAX; length *= 2) {
        if (!make_zero_slice(transport, tools, zeros, length, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_slice_store_mend_zeros(VimgSliceStore *store, GError **error)
{
    g_autoptr(VimgSliceTools) tools = NULL;
    g_autofree guint8 *zeros = NULL;
    guint64 length;

    for (length = store->slice_size; length <= VIMG_ZERO_MAX; length *= 2) {
        g_autofree char *path = vimg_slice_path(vimg_zero_id(length));
        VimgFileInfo info;
        int result = vimg_transport_stat(store->transport, path, &info);

        if (result != 0 && result != ENOENT)
            return throw_result(error, result, _("cannot look up slices"));
        if (result == 0)
            continue;
        if (!zeros) {
            tools = vimg_slice_tools_new();
            zeros = g_malloc0(VIMG_ZERO_MAX);
        }
        if (!make_zero_slice(store->transport, tools, zeros, length, error))
            return FALSE;
    }
    return TRUE;
}

static char *
format_store_file(const VimgStoreParams *params)
{
    g_autoptr(JsonObject) root = json_object_new();
    JsonObject *slicer = json_object_new();
    JsonObject *content = json_object_new();
    g_autofree char *uuid = g_uuid_string_random();

    json_object_set_string_member(slicer, "kind", "fixed");
    json_object_set_int_member(slicer, "size", (gint64)params->slice_size);
    json_object_set_int_member(slicer, "zeroMax", (gint64)VIMG_ZERO_MAX);
    json_object_set_int_member(root, "format", VIMG_STORE_FORMAT);
    json_object_set_string_member(root, "uuid", uuid);
    json_object_set_string_member(root, "digest", "sha256");
    json_object_set_object_member(root, "slicer", slicer);
    json_object_set_string_member(content, "kind", "gear");
    json_object_set_object_member(root, "contentSlicer", content);
    json_object_set_string_member(root, "creator", "virtimage " VIMG_VERSION);
    return vimg_json_format(root);
}

static gboolean
sync_directories(VimgTransport *transport, GError **error)
{
    gsize i;
    int result = vimg_transport_sync(transport, ".");

    for (i = 0; result == 0 && directories[i]; i++)
        result = vimg_transport_sync(transport, directories[i]);
    if (result != 0)
        return throw_result(error, result, _("cannot make the store durable"));
    return TRUE;
}

static gboolean
make_all(VimgTransport *transport, const VimgStoreParams *params, GError **error)
{
    g_autofree char *text = format_store_file(params);
    gsize i;
    int result;

    for (i = 0; directories[i]; i++) {
        if (!make_directory(transport, directories[i], error))
            return FALSE;
    }
    vimg_spare_make(transport);
    if (!make_zero_slices(transport, params->slice_size, error) ||
        !sync_directories(transport, error) ||
        !make_file(transport, VIMG_STORE_FILE, text, strlen(text), error))
        return FALSE;
    result = vimg_transport_sync(transport, ".");
    if (result != 0)
        return throw_result(error, result, _("cannot create '%s'"), VIMG_STORE_FILE);
    return TRUE;
}

/*
 * Takes back what make_all() did; whatever else lies there stays, and so does all of it once there
 * is a store: it is as good as ours if another host made it.
 */
static void
unmake(VimgTransport *transport, guint64 slice_size)
{
    VimgFileInfo info;
    guint64 length;
    gsize i;

    if (vimg_transport_stat(transport, VIMG_STORE_FILE, &info) != ENOENT)
        return;
    for (length = slice_size; length <= VIMG_ZERO_MAX; length *= 2) {
        g_autofree char *dir = vimg_slice_dir(vimg_zero_id(length));
        g_autofree char *path = vimg_slice_path(vimg_zero_id(length));

        vimg_transport_unlink(transport, path);
        vimg_transport_rmdir(transport, dir);
    }
    vimg_transport_unlink(transport, VIMG_SPARE_FILE);
    for (i = 0; directories[i]; i++)
        vimg_transport_rmdir(transport, directories[i]);
}

gboolean
vimg_slice_store_make(VimgTransport *transport, const VimgStoreParams *params, GError **error)
{
    if (make_all(transport, params, error))
        return TRUE;
    unmake(transport, params->slice_size);
    return FALSE;
}
