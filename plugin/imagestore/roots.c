/*
 * roots.c: which slices the indexes of a store name
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clock.h"
#include "image.h"
#include "roots.h"
#include "slice.h"
#include "../throw.h"

/* An upload replaces its partial index every few seconds: reading one again wins soon. */
#define MAX_ROUNDS 16
#define AHEAD_IMAGES 256
#define AHEAD_BYTES ((guint64)32 * 1024 * 1024) /* of indexes */

/* An index that was read ahead. */
typedef struct {
    char *path;
    char *key; /* NULL: it is known by its content */
    gboolean published;
    VimgBuffer *content;
} Ahead;

/* The indexes of an image that were not seen before; all of them. */
typedef struct {
    GArray *indexes; /* of Ahead */
    char *digest;    /* of the published one, as the manifest says; NULL: it does not */
} Ready;

static void
ahead_clear(gpointer data)
{
    Ahead *ahead = data;

    g_free(ahead->path);
    g_free(ahead->key);
    vimg_buffer_unref(ahead->content);
}

static void
ready_free(gpointer data)
{
    Ready *ready = data;

    g_array_unref(ready->indexes);
    g_free(ready->digest);
    g_free(ready);
}

void
vimg_roots_init(VimgRoots *roots, VimgSliceStore *store, VimgGoOn go_on, gpointer data)
{
    guint64 length;

    memset(roots, 0, sizeof(*roots));
    roots->store = store;
    roots->marks = vimg_marks_new();
    roots->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    roots->ready = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, ready_free);
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
    g_clear_pointer(&roots->ready, g_hash_table_unref);
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

/* @key: of a published one or NULL.  FALSE without @error: @path is gone. */
static gboolean
read_index(VimgRoots *roots, const char *uuid, const char *path, gboolean published,
           const char *key, GError **error)
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
    if (!key && !is_news(roots, path, content))
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

/*
 * What a published index is known by: it never changes in place.  NULL: one that takes its place
 * within the second could have the same time.
 */
static char *
key_of(const VimgRoots *roots, const char *path, const VimgFileInfo *info)
{
    if (roots->now > 0 && vimg_clock_seconds(info->mtime) + 1 >= roots->now)
        return NULL;
    return g_strdup_printf("%s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT, path, info->size,
                           info->mtime);
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
        return read_index(roots, uuid, path, FALSE, NULL, error);
    result = vimg_transport_stat(roots->store->transport, path, &info);
    if (result == ENOENT)
        return FALSE;
    if (result != 0)
        return throw_result(error, result, _("cannot read the index '%s'"), path);
    key = key_of(roots, path, &info);
    if (key && g_hash_table_contains(roots->seen, key))
        return TRUE;
    if (!read_index(roots, uuid, path, TRUE, key, error))
        return FALSE;
    if (key)
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

/* ---- many images ------------------------------------------------------------------------ */

/* An index that is there, of the image number @image. */
typedef struct {
    guint image;
    char *path;
    gboolean published;
    VimgOp op;
} Found;

static void
found_clear(gpointer data)
{
    Found *found = data;

    g_free(found->path);
    vimg_buffer_unref(found->op.content);
}

/* Of the @n images from @from on.  @bad: those that cannot be listed. */
static GArray *
find_indexes(VimgRoots *roots, const GPtrArray *uuids, guint from, guint n, guint8 *bad)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    GArray *all = g_array_new(FALSE, FALSE, sizeof(Found));
    guint i;
    guint k;

    g_array_set_clear_func(all, found_clear);
    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_LIST, .path = vimg_image_dir(uuids->pdata[from + i])};
    vimg_transport_run(roots->store->transport, ops, n);
    for (i = 0; i < n; i++) {
        bad[i] = ops[i].result != 0;
        for (k = 0; !bad[i] && k < ops[i].names->len; k++) {
            const char *name = ops[i].names->pdata[k];
            Found found = {.image = i, .published = strcmp(name, VIMG_IMAGE_INDEX) == 0};

            if (!is_index(name))
                continue;
            found.path = vimg_image_path(uuids->pdata[from + i], name);
            g_array_append_val(all, found);
        }
    }
    vimg_transport_clear_ops(ops, n, TRUE);
    return all;
}

/* One operation on each of the @n of @found that are still to be asked about. */
static void
ask_all(VimgRoots *roots, GArray *found, VimgOpKind kind)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, found->len);
    guint i;

    for (i = 0; i < found->len; i++) {
        const Found *one = &g_array_index(found, Found, i);

        ops[i] = (VimgOp){.kind = kind, .path = one->path, .size = one->op.info.size};
    }
    vimg_transport_run(roots->store->transport, ops, found->len);
    for (i = 0; i < found->len; i++) {
        Found *one = &g_array_index(found, Found, i);

        if (kind == VIMG_OP_READ)
            ops[i].info = one->op.info;
        one->op = ops[i];
    }
}

/*
 * Leaves in @found what is to be read, for as many images as there is memory for.  Returns: how
 * many of @n these are.
 */
static guint
pick(VimgRoots *roots, GArray *found, guint n, guint8 *bad)
{
    guint64 bytes = 0;
    guint kept = 0;
    guint i;

    for (i = 0; i < found->len; i++) {
        Found *one = &g_array_index(found, Found, i);
        g_autofree char *key = one->published ? key_of(roots, one->path, &one->op.info) : NULL;

        bad[one->image] |= one->op.result != 0 || one->op.info.size > VIMG_INDEX_MAX_SIZE;
        if (bad[one->image] || (key && g_hash_table_contains(roots->seen, key))) {
            found_clear(one);
            continue;
        }
        bytes += one->op.info.size;
        if (bytes > AHEAD_BYTES && one->image > 0) {
            n = MIN(n, one->image);
            found_clear(one);
            continue;
        }
        g_array_index(found, Found, kept++) = *one;
    }
    while (kept > 0 && g_array_index(found, Found, kept - 1).image >= n)
        found_clear(&g_array_index(found, Found, --kept));
    g_array_set_clear_func(found, NULL);
    g_array_set_size(found, kept);
    g_array_set_clear_func(found, found_clear);
    return n;
}

static void
add_ready(VimgRoots *roots, const char *uuid, const VimgImageLook *look)
{
    Ready *ready = g_new0(Ready, 1);

    ready->indexes = g_array_new(FALSE, FALSE, sizeof(Ahead));
    g_array_set_clear_func(ready->indexes, ahead_clear);
    if (look && look->stored.manifest)
        ready->digest = g_strdup(look->stored.manifest->index_digest);
    g_hash_table_replace(roots->ready, g_strdup(uuid), ready);
}

guint
vimg_roots_read_ahead(VimgRoots *roots, const GPtrArray *uuids, guint from)
{
    guint n = MIN(uuids->len - from, AHEAD_IMAGES);
    g_autofree guint8 *bad = g_new0(guint8, n);
    g_autoptr(GArray) found = find_indexes(roots, uuids, from, n, bad);
    g_autoptr(GArray) looks = NULL;
    guint i;

    ask_all(roots, found, VIMG_OP_STAT);
    n = pick(roots, found, n, bad);
    ask_all(roots, found, VIMG_OP_READ);
    /* most of what is there is published; of what was seen before nothing is asked */
    if (found->len > 0)
        looks = vimg_image_look_some(roots->store, uuids, from, n);
    for (i = 0; i < found->len; i++)
        bad[g_array_index(found, Found, i).image] |= g_array_index(found, Found, i).op.result != 0;
    for (i = 0; i < n; i++) {
        const VimgImageLook *look = looks ? &g_array_index(looks, VimgImageLook, i) : NULL;

        if (!bad[i] && (!look || look->result == 0))
            add_ready(roots, uuids->pdata[from + i], look);
    }
    for (i = 0; i < found->len; i++) {
        Found *one = &g_array_index(found, Found, i);
        Ready *ready = g_hash_table_lookup(roots->ready, uuids->pdata[from + one->image]);
        Ahead ahead = {0};

        if (!ready)
            continue;
        if (one->published)
            ahead.key = key_of(roots, one->path, &one->op.info);
        ahead.published = one->published;
        ahead.path = g_steal_pointer(&one->path);
        ahead.content = g_steal_pointer(&one->op.content);
        g_array_append_val(ready->indexes, ahead);
    }
    return n;
}

/* NULL: it is to be looked at more closely. */
static VimgIndex *
check_ahead(const Ready *ready, const Ahead *ahead)
{
    g_autofree char *digest = NULL;

    if (ahead->published && ready->digest) {
        digest = vimg_sha256_hex(ahead->content->data, ahead->content->size);
        if (strcmp(digest, ready->digest) != 0)
            return NULL;
    }
    return vimg_index_decode(ahead->content->data, ahead->content->size, NULL);
}

/* @all: nothing is left to be read of it. */
static gboolean
take_ready(VimgRoots *roots, const Ready *ready, gboolean *all, GError **error)
{
    guint i;

    for (i = 0; i < ready->indexes->len; i++) {
        Ahead *ahead = &g_array_index(ready->indexes, Ahead, i);
        g_autoptr(VimgIndex) index = check_ahead(ready, ahead);

        *all = index != NULL;
        if (!index)
            return TRUE;
        if (!ahead->key && !is_news(roots, ahead->path, ahead->content))
            continue;
        g_clear_pointer(&ahead->content, vimg_buffer_unref);
        if (!take(roots, index, error))
            return FALSE;
        if (ahead->key)
            g_hash_table_add(roots->seen, g_steal_pointer(&ahead->key));
    }
    *all = TRUE;
    return TRUE;
}

gboolean
vimg_roots_read_image(VimgRoots *roots, const char *uuid, GError **error)
{
    const Ready *ready = g_hash_table_lookup(roots->ready, uuid);
    gboolean gone = TRUE;
    gboolean all = FALSE;
    guint round;

    if (ready) {
        gboolean good = take_ready(roots, ready, &all, error);

        g_hash_table_remove(roots->ready, uuid);
        if (!good || all)
            return good;
    }
    for (round = 0; gone && round < MAX_ROUNDS; round++) {
        if (!visit_image(roots, uuid, &gone, error))
            return FALSE;
    }
    if (gone)
        return throw_error(error, VIMG_ERROR_FAILED,
                           _("the indexes of image %s change too fast to be read"), uuid);
    return TRUE;
}

/* ---- whether all are listed ------------------------------------------------------------- */

/* Adds to @out the uuids that have the @n names from @from on. */
static gboolean
add_claims(VimgRoots *roots, const GPtrArray *names, guint from, guint n, GPtrArray *out,
           GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    gboolean good = TRUE;
    guint i;
    guint k;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_LIST,
                          .path = g_strconcat("names/", names->pdata[from + i], NULL)};
    vimg_transport_run(roots->store->transport, ops, n);
    for (i = 0; good && i < n; i++) {
        if (ops[i].result == ENOENT || ops[i].result == ENOTDIR)
            continue;
        if (ops[i].result != 0)
            good = throw_result(error, ops[i].result, _("cannot list the names"));
        for (k = 0; good && k < ops[i].names->len; k++) {
            if (vimg_image_is_uuid(ops[i].names->pdata[k]))
                g_ptr_array_add(out, g_strdup(ops[i].names->pdata[k]));
        }
    }
    vimg_transport_clear_ops(ops, n, TRUE);
    return good;
}

/*
 * There are servers whose listing just ends where they fail to read on.  An image has its directory
 * before its name: whatever has a name now is listed afterwards, or gone.  Returns: (transfer full)
 */
static GPtrArray *
list_claims(VimgRoots *roots, GError **error)
{
    g_autoptr(GPtrArray) claims = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) names = NULL;
    int result;
    guint i;

    if (!roots->store->transport->remote)
        return g_steal_pointer(&claims);
    result = vimg_transport_list(roots->store->transport, "names", &names);
    if (result != 0) {
        throw_result(error, result, _("cannot list the names"));
        return NULL;
    }
    for (i = 0; i < names->len; i += AHEAD_IMAGES) {
        if (!roots->go_on(roots->data, error) ||
            !add_claims(roots, names, i, MIN(AHEAD_IMAGES, names->len - i), claims, error))
            return NULL;
    }
    return g_steal_pointer(&claims);
}

/* @claims: of before @names, the images, were listed. */
static gboolean
check_whole(VimgRoots *roots, const GPtrArray *claims, const GPtrArray *names, GError **error)
{
    g_autoptr(GHashTable) listed = g_hash_table_new(g_str_hash, g_str_equal);
    guint i;

    for (i = 0; i < names->len; i++)
        g_hash_table_add(listed, names->pdata[i]);
    for (i = 0; i < claims->len; i++) {
        const char *uuid = claims->pdata[i];
        g_autofree char *dir = vimg_image_dir(uuid);
        VimgFileInfo info;
        int result;

        /* of one that is gone an interrupted removal may have left the name: there are few */
        if (g_hash_table_contains(listed, uuid))
            continue;
        result = vimg_transport_stat(roots->store->transport, dir, &info);
        if (result == 0)
            return throw_error(error, VIMG_ERROR_SYSTEM,
                               _("the storage does not list all images: %s is there too"), uuid);
        if (result != ENOENT)
            return throw_result(error, result, _("cannot read image %s"), uuid);
        if (!roots->go_on(roots->data, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_roots_read(VimgRoots *roots, GError **error)
{
    g_autoptr(GPtrArray) claims = list_claims(roots, error);
    g_autoptr(GPtrArray) names = NULL;
    int result;
    guint n;
    guint i;
    guint k;

    if (!claims)
        return FALSE;
    result = vimg_transport_list(roots->store->transport, "images", &names);
    if (result != 0)
        return throw_result(error, result, _("cannot list the images"));
    if (!check_whole(roots, claims, names, error))
        return FALSE;
    for (i = 0; i < names->len; i += n) {
        if (!roots->go_on(roots->data, error))
            return FALSE;
        n = vimg_roots_read_ahead(roots, names, i);
        for (k = i; k < i + n; k++) {
            if (roots->skip && g_hash_table_contains(roots->skip, names->pdata[k]))
                g_hash_table_remove(roots->ready, names->pdata[k]);
            else if (!vimg_roots_read_image(roots, names->pdata[k], error))
                return FALSE;
        }
    }
    return TRUE;
}
