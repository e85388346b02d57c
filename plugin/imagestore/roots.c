/*
 * roots.c: which slices the indexes of a store name
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image.h"
#include "roots.h"
#include "slice.h"
#include "throw.h"

/* An upload replaces its partial index every few seconds: reading one again wins soon. */
#define MAX_ROUNDS 16

void
vimg_roots_init(VimgRoots *roots, VimgSliceStore *store, VimgGoOn go_on, gpointer data)
{
    guint64 length;

    memset(roots, 0, sizeof(*roots));
    roots->store = store;
    roots->marks = vimg_marks_new();
    roots->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    roots->go_on = go_on;
    roots->data = data;
    for (length = store->slice_size; length <= VIMG_ZERO_MAX; length *= 2)
        vimg_marks_add(roots->marks, vimg_zero_id(length));
}

void
vimg_roots_clear(VimgRoots *roots)
{
    vimg_marks_free(roots->marks);
    g_clear_pointer(&roots->seen, g_hash_table_unref);
    memset(roots, 0, sizeof(*roots));
}

static gboolean
take(VimgRoots *roots, const VimgIndex *index, GError **error)
{
    gsize n = vimg_index_count(index);
    gsize i;

    roots->indexes++;
    roots->slices += n;
    if (roots->take)
        return roots->take(index, roots->data, error);
    for (i = 0; i < n; i++)
        vimg_marks_add(roots->marks, vimg_index_id(index, i));
    return TRUE;
}

/* Whether @path has not been seen with this content before; now it is. */
static gboolean
is_news(VimgRoots *roots, const char *path, const VimgBuffer *content)
{
    g_autofree char *digest = vimg_sha256_hex(content->data, content->size);

    return g_hash_table_add(roots->seen, g_strconcat(path, " ", digest, NULL));
}

/* FALSE without @error: @path is gone. */
static gboolean
read_index(VimgRoots *roots, const char *uuid, const char *path, gboolean published, GError **error)
{
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(VimgIndex) index = NULL;
    g_autoptr(GError) local = NULL;
    int result = vimg_transport_read(roots->store->transport, path, VIMG_INDEX_MAX_SIZE, &content);

    if (result == ENOENT)
        return FALSE;
    if (result != 0)
        return throw_result(error, result, _("cannot read the index '%s'"), path);
    /* one that replaced another may be as long, and times may have whole seconds only */
    if (!published && !is_news(roots, path, content))
        return TRUE;
    index = vimg_index_decode(content->data, content->size, &local);
    if (index && published) {
        g_auto(VimgStoredImage) image = {0};
        g_autofree char *digest = vimg_sha256_hex(content->data, content->size);

        result = vimg_image_look(roots->store, uuid, &image);
        if (result != 0)
            return throw_result(error, result, _("cannot read image %s"), uuid);
        /* an image whose manifest is lost has nothing to compare with: what decodes counts */
        if (image.manifest && image.manifest->index_digest &&
            strcmp(image.manifest->index_digest, digest) != 0)
            throw_error(&local, VIMG_ERROR_DAMAGED, _("the digest of the index is wrong"));
    }
    if (local)
        return throw_error(
            error, VIMG_ERROR_DAMAGED,
            _("cannot tell which slices '%1$s' needs: %2$s; delete and purge the image, or bring the file back"),
            path, local->message);
    return take(roots, index, error);
}

/* Unless it was read before.  FALSE without @error: @path is gone. */
static gboolean
visit(VimgRoots *roots, const char *uuid, const char *name, GError **error)
{
    g_autofree char *path = vimg_image_path(uuid, name);
    g_autofree char *key = NULL;
    VimgFileInfo info;
    int result;

    if (strcmp(name, VIMG_IMAGE_INDEX) != 0)
        return read_index(roots, uuid, path, FALSE, error);
    result = vimg_transport_stat(roots->store->transport, path, &info);
    if (result == ENOENT)
        return FALSE;
    if (result != 0)
        return throw_result(error, result, _("cannot read the index '%s'"), path);
    key =
        g_strdup_printf("%s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT, path, info.size, info.mtime);
    if (g_hash_table_contains(roots->seen, key))
        return TRUE;
    if (!read_index(roots, uuid, path, TRUE, error))
        return FALSE;
    g_hash_table_add(roots->seen, g_steal_pointer(&key));
    return TRUE;
}

static gboolean
is_index(const char *name)
{
    guint64 n;

    return strcmp(name, VIMG_IMAGE_INDEX) == 0 ||
           vimg_manifest_number(name, VIMG_IMAGE_PARTIAL, "", &n);
}

/* @gone: one of its indexes was replaced meanwhile. */
static gboolean
visit_image(VimgRoots *roots, const char *uuid, gboolean *gone, GError **error)
{
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GError) local = NULL;
    int result = vimg_transport_list(roots->store->transport, dir, &names);
    guint i;

    *gone = FALSE;
    if (result == ENOENT || result == ENOTDIR)
        return TRUE;
    if (result != 0)
        return throw_result(error, result, _("cannot read image %s"), uuid);
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (!is_index(name) || visit(roots, uuid, name, &local))
            continue;
        if (local) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        *gone = TRUE;
    }
    return TRUE;
}

gboolean
vimg_roots_read_image(VimgRoots *roots, const char *uuid, GError **error)
{
    gboolean gone = TRUE;
    guint round;

    for (round = 0; gone && round < MAX_ROUNDS; round++) {
        if (!visit_image(roots, uuid, &gone, error))
            return FALSE;
    }
    if (gone)
        return throw_error(error, VIMG_ERROR_FAILED,
                           _("the indexes of image %s change too fast to be read"), uuid);
    return TRUE;
}

gboolean
vimg_roots_read(VimgRoots *roots, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(roots->store->transport, "images", &names);
    guint i;

    if (result != 0)
        return throw_result(error, result, _("cannot list the images"));
    for (i = 0; i < names->len; i++) {
        const char *uuid = g_ptr_array_index(names, i);

        if (roots->skip && g_hash_table_contains(roots->skip, uuid))
            continue;
        if (!roots->go_on(roots->data, error) || !vimg_roots_read_image(roots, uuid, error))
            return FALSE;
    }
    return TRUE;
}
