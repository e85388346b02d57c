/*
 * primary-base.c: images that many volumes of the host are overlays on, placed there once
 *
 * A base is a volume whose name says which image it is, and which content of that: what an image
 * holds once it was wiped and filled anew is another base, and overlays on the one before keep
 * that. It is known to be whole by a file of ours, written when it was, as long as nothing has
 * changed it since; one that another host has placed in a shared pool is compared first.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/virterror.h>

#include "host/primary-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"
#include "util/uuid.h"

#define PREFIX "virtimage-base-"
#define SUFFIX ".base" /* of our files */
#define GROUP "base"
#define SHARED "netfs"             /* type of pools that other hosts may have, too */
#define FILE_MAX 65536             /* bytes */
#define NAP ((gint64)250 * 1000)   /* microseconds until it is asked whether to go on */
#define PIECE ((gsize)1024 * 1024) /* bytes compared at once */
#define SHORT 16                   /* digits of the sum of a generation that are in a name */

/* ---- one at a time -------------------------------------------------------------------------- */

/* Two may have the same short form: what a note says is the whole of it. */
char *
vimg_host_base_name(const VimgSourceInfo *info)
{
    g_autofree char *sum =
        info->generation ? g_compute_checksum_for_string(G_CHECKSUM_SHA256, info->generation, -1)
                         : NULL;

    if (!sum)
        return g_strconcat(PREFIX, info->uuid, ".", info->format, NULL);
    return g_strdup_printf(PREFIX "%s-%.*s.%s", info->uuid, SHORT, sum, info->format);
}

static char *
turn_of(const VimgHostPool *pool, const char *name)
{
    return g_strconcat(pool->uuid, ".", name, NULL);
}

gboolean
vimg_host_base_take(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name,
                    VimgTransfer *job, GError **error)
{
    g_autofree char *turn = turn_of(pool, name);
    gboolean going = TRUE;

    vimg_mutex_lock(&primary->lock);
    while (going && (g_hash_table_contains(primary->bases, turn) ||
                     g_strcmp0(primary->settling, turn) == 0)) {
        vimg_cond_wait_until(&primary->changed, &primary->lock, g_get_monotonic_time() + NAP);
        vimg_mutex_unlock(&primary->lock);
        going = !job || vimg_transfer_check(job, error);
        vimg_mutex_lock(&primary->lock);
    }
    if (going)
        g_hash_table_add(primary->bases, g_steal_pointer(&turn));
    vimg_mutex_unlock(&primary->lock);
    return going;
}

void
vimg_host_base_give(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name)
{
    g_autofree char *turn = turn_of(pool, name);
    VIMG_LOCK_GUARD(&primary->lock);

    g_hash_table_remove(primary->bases, turn);
    vimg_cond_broadcast(&primary->changed);
}

/* ---- what is known to be whole -------------------------------------------------------------- */

static char *
path_of(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name)
{
    g_autofree char *base = g_strconcat(pool->uuid, ".", name, SUFFIX, NULL);

    return g_build_filename(primary->journal_dir, base, NULL);
}

static GKeyFile *
read_note(const char *path)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    gsize size = 0;
    g_autofree char *text = vimg_file_read(path, FILE_MAX, &size, NULL);

    if (!text || !g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, NULL))
        return NULL;
    return g_steal_pointer(&file);
}

static gboolean
says(GKeyFile *file, const char *what, const char *value)
{
    g_autofree char *noted = g_key_file_get_string(file, GROUP, what, NULL);

    return value && g_strcmp0(noted, value) == 0;
}

/* What is noted of the very volume, which nobody touched since.  Returns: (transfer full) or NULL
 */
static GKeyFile *
find_note(VimgHostPrimary *primary, const VimgHostPool *pool, virStorageVolPtr vol)
{
    g_autofree char *path = path_of(primary, pool, virStorageVolGetName(vol));
    g_autofree char *mtime = vimg_host_volume_mtime(vol);
    g_autoptr(GKeyFile) file = read_note(path);

    /* another of the same name has the same key */
    if (!file || !says(file, "key", virStorageVolGetKey(vol)) || !says(file, "mtime", mtime))
        return NULL;
    return g_steal_pointer(&file);
}

gboolean
vimg_host_base_is_noted(VimgHostPrimary *primary, const VimgHostPool *pool, virStorageVolPtr vol,
                        const VimgSourceInfo *info)
{
    g_autoptr(GKeyFile) file = find_note(primary, pool, vol);
    g_autofree char *of = file ? g_key_file_get_string(file, GROUP, "generation", NULL) : NULL;

    return file && g_strcmp0(of, info->generation) == 0;
}

gboolean
vimg_host_base_note(VimgHostPrimary *primary, const VimgHostPool *pool, virStorageVolPtr vol,
                    const VimgSourceInfo *info, gboolean placed, GError **error)
{
    g_autofree char *path = path_of(primary, pool, virStorageVolGetName(vol));
    g_autofree char *mtime = vimg_host_volume_mtime(vol);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;
    gsize size = 0;

    if (!mtime)
        return TRUE; /* so it is compared each time */
    g_key_file_set_string(file, GROUP, "images", info->pool_uuid);
    g_key_file_set_string(file, GROUP, "pool", pool->uuid);
    g_key_file_set_string(file, GROUP, "volume", virStorageVolGetName(vol));
    g_key_file_set_string(file, GROUP, "key", virStorageVolGetKey(vol));
    g_key_file_set_string(file, GROUP, "mtime", mtime);
    if (info->generation)
        g_key_file_set_string(file, GROUP, "generation", info->generation);
    g_key_file_set_boolean(file, GROUP, "placed", placed);
    text = g_key_file_to_data(file, &size, NULL);
    return vimg_file_replace(path, text, size, 0600, error);
}

gboolean
vimg_host_base_forget(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name,
                      GError **error)
{
    g_autofree char *path = path_of(primary, pool, name);

    return vimg_file_remove(path, error);
}

/* ---- what another host has placed ----------------------------------------------------------- */

typedef struct {
    virStreamPtr stream;
    VimgTransfer *image;
    VimgBuffer *buffer;
} Pair;

/* @size bytes of the volume, at most PIECE, are in .buffer. */
static gboolean
receive(Pair *pair, gsize size, GError **error)
{
    gsize have = 0;

    while (have < size) {
        int got = virStreamRecv(pair->stream, (char *)pair->buffer->data + have, size - have);

        if (got < 0)
            return vimg_host_throw(error);
        if (got == 0)
            break;
        have += (gsize)got;
    }
    memset(pair->buffer->data + have, have < size ? 1 : 0, size - have); /* what is short differs */
    return TRUE;
}

static gboolean
is_same(const guint8 *have, const guint8 *want, gsize size)
{
    if (want)
        return memcmp(have, want, size) == 0;
    return have[0] == 0 && memcmp(have, have + 1, size - 1) == 0;
}

static gboolean
compare_extent(Pair *pair, const VimgExtent *extent, gboolean *same, GError **error)
{
    guint64 at = 0;

    while (*same && at < extent->length) {
        gsize size = (gsize)MIN(extent->length - at, PIECE);
        const guint8 *want = extent->data ? extent->data->data + extent->offset + at : NULL;

        if (!receive(pair, size, error))
            return FALSE;
        *same = is_same(pair->buffer->data, want, size);
        at += size;
    }
    return TRUE;
}

static gboolean
compare(Pair *pair, gboolean *same, GError **error)
{
    *same = TRUE;
    while (*same) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (!vimg_transfer_next(pair->image, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return TRUE;
        if (!compare_extent(pair, &extent, same, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_host_base_check(VimgHostPrimary *primary, virConnectPtr connect, const VimgHostPool *pool,
                     virStorageVolPtr vol, const VimgSourceInfo *info, VimgTransfer *image,
                     GError **error)
{
    g_autoptr(virStream) stream = NULL;
    g_autoptr(VimgBuffer) buffer = NULL;
    Pair pair = {.image = image};
    gboolean same = FALSE;
    gboolean ok;

    if (vimg_host_base_is_noted(primary, pool, vol, info))
        return TRUE;
    pair.stream = stream = virStreamNew(connect, 0);
    pair.buffer = buffer = vimg_buffer_new(PIECE);
    if (!stream || virStorageVolDownload(vol, stream, 0, info->physical, 0) < 0)
        return vimg_host_throw(error);
    ok = compare(&pair, &same, error);
    virStreamAbort(stream);
    if (!ok)
        return FALSE;
    /* to read both takes long: that was the image's content only if it is now */
    if (same)
        return vimg_transfer_confirm(image, info, error) &&
               vimg_host_base_note(primary, pool, vol, info, FALSE, error);
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("volume '%1$s' of the host's pool '%2$s' does not hold image '%3$s', as its name says: delete it, or wait if it is still being placed, here or by another host"),
        virStorageVolGetName(vol), virStoragePoolGetName(pool->pool), info->name);
}

/* ---- what nobody uses ----------------------------------------------------------------------- */

void
vimg_host_base_drop(virConnectPtr connect, const VimgHostPool *pool, virStorageVolPtr vol)
{
    if (strcmp(pool->type, SHARED) == 0 || vimg_host_is_used(connect, vol) ||
        virStorageVolDelete(vol, 0) < 0)
        vimg_warning("volume '%s' of the host's pool '%s' is not known to hold an image",
                     virStorageVolGetName(vol), virStoragePoolGetName(pool->pool));
}

static gboolean
remove_unused(VimgHostPrimary *primary, virConnectPtr connect, const VimgHostPool *pool,
              const char *name)
{
    g_autoptr(virStorageVol) vol = virStorageVolLookupByName(pool->pool, name);
    g_autoptr(GKeyFile) file = NULL;

    if (!vol) {
        if (vimg_host_said(VIR_ERR_NO_STORAGE_VOL))
            vimg_host_base_forget(primary, pool, name, NULL);
        return FALSE;
    }
    file = find_note(primary, pool, vol);
    /* what is not known to be whole is compared: so that is forgotten first */
    return file && !vimg_host_is_used(connect, vol) &&
           vimg_host_base_forget(primary, pool, name, NULL) && virStorageVolDelete(vol, 0) == 0;
}

/* It takes hours to place one: whoever does so needs it. */
static gboolean
try_take(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name)
{
    char *turn = turn_of(pool, name);
    gboolean taken;

    vimg_mutex_lock(&primary->lock);
    taken = !primary->ending && !g_hash_table_contains(primary->bases, turn) &&
            g_strcmp0(primary->settling, turn) != 0;
    if (taken)
        g_hash_table_add(primary->bases, g_steal_pointer(&turn));
    vimg_mutex_unlock(&primary->lock);
    g_free(turn);
    return taken;
}

static void
tidy_base(VimgHostPrimary *primary, virConnectPtr connect, GKeyFile *file)
{
    g_autofree char *uuid = g_key_file_get_string(file, GROUP, "pool", NULL);
    g_autofree char *name = g_key_file_get_string(file, GROUP, "volume", NULL);
    g_auto(VimgHostPool) pool = {0};
    VimgPoolId id = {0};

    if (!uuid || !name || !vimg_uuid_parse(uuid, id.uuid) ||
        !vimg_host_pool_find(connect, &id, &pool, NULL) || strcmp(pool.type, SHARED) == 0 ||
        !try_take(primary, &pool, name))
        return;
    if (remove_unused(primary, connect, &pool, name))
        vimg_info("removed volume '%s' of the host's pool '%s', on which nothing is an overlay",
                  name, virStoragePoolGetName(pool.pool));
    vimg_host_base_give(primary, &pool, name);
}

/* Returns: (transfer full) what is noted of a base; NULL: none placed here of images of @uuid */
static GKeyFile *
load(VimgHostPrimary *primary, const char *base, const char *uuid)
{
    g_autofree char *path = g_build_filename(primary->journal_dir, base, NULL);
    g_autoptr(GKeyFile) file = g_str_has_suffix(base, SUFFIX) ? read_note(path) : NULL;

    if (!file || !says(file, "images", uuid) ||
        !g_key_file_get_boolean(file, GROUP, "placed", NULL))
        return NULL;
    return g_steal_pointer(&file);
}

void
vimg_host_bases_tidy(VimgHostPrimary *primary, const char *uuid)
{
    g_autoptr(VimgHostConnect) connect = NULL;
    g_autoptr(GDir) dir = g_dir_open(primary->journal_dir, 0, NULL);
    const char *base;

    while (dir && (base = g_dir_read_name(dir))) {
        g_autoptr(GKeyFile) file = load(primary, base, uuid);

        if (!file)
            continue;
        if (!connect && !(connect = vimg_host_primary_connect(primary, NULL, NULL, NULL)))
            return;
        tidy_base(primary, connect, file);
    }
}
