/*
 * primary-base.c: images that many volumes of the host are overlays on, placed there once
 *
 * A base is a volume whose name says which image it is.  It is known to be whole by a file of ours,
 * written when it was; one that another host has placed in a shared pool is compared first.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/virterror.h>

#include "conf/xml.h"
#include "host/primary-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define PREFIX "virtimage-base-"
#define SUFFIX ".base" /* of our files */
#define GROUP "base"
#define FILE_MAX 65536             /* bytes */
#define NAP ((gint64)250 * 1000)   /* microseconds until it is asked whether to go on */
#define PIECE ((gsize)1024 * 1024) /* bytes compared at once */

/* ---- one at a time -------------------------------------------------------------------------- */

char *
vimg_host_base_name(const VimgSourceInfo *info)
{
    return g_strconcat(PREFIX, info->uuid, ".", info->format, NULL);
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
    while (going && g_hash_table_contains(primary->bases, turn)) {
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

static gboolean
is_noted(VimgHostPrimary *primary, const VimgHostPool *pool, virStorageVolPtr vol)
{
    g_autofree char *path = path_of(primary, pool, virStorageVolGetName(vol));
    g_autoptr(GKeyFile) file = g_key_file_new();
    gsize size = 0;
    g_autofree char *text = vimg_file_read(path, FILE_MAX, &size, NULL);
    g_autofree char *key = NULL;

    if (!text || !g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, NULL))
        return FALSE;
    key = g_key_file_get_string(file, GROUP, "key", NULL);
    return g_strcmp0(key, virStorageVolGetKey(vol)) == 0;
}

gboolean
vimg_host_base_note(VimgHostPrimary *primary, const VimgHostPool *pool, virStorageVolPtr vol,
                    const VimgSourceInfo *info, GError **error)
{
    g_autofree char *path = path_of(primary, pool, virStorageVolGetName(vol));
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;
    gsize size = 0;

    g_key_file_set_string(file, GROUP, "images", info->pool_uuid);
    g_key_file_set_string(file, GROUP, "pool", pool->uuid);
    g_key_file_set_string(file, GROUP, "volume", virStorageVolGetName(vol));
    g_key_file_set_string(file, GROUP, "key", virStorageVolGetKey(vol));
    text = g_key_file_to_data(file, &size, NULL);
    return vimg_file_replace(path, text, size, 0600, error);
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

    if (is_noted(primary, pool, vol))
        return TRUE;
    pair.stream = stream = virStreamNew(connect, 0);
    pair.buffer = buffer = vimg_buffer_new(PIECE);
    if (!stream || virStorageVolDownload(vol, stream, 0, info->physical, 0) < 0)
        return vimg_host_throw(error);
    ok = compare(&pair, &same, error);
    virStreamAbort(stream);
    if (!ok)
        return FALSE;
    if (same)
        return vimg_host_base_note(primary, pool, vol, info, error);
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("volume '%1$s' of the host's pool '%2$s' does not hold image '%3$s', as its name says: delete it, or wait if another host is placing it"),
        virStorageVolGetName(vol), virStoragePoolGetName(pool->pool), info->name);
}

/* ---- what nobody uses ----------------------------------------------------------------------- */

/* Returns: (transfer full) the path that @vol is an overlay on; NULL: none */
static char *
backing_of(virStorageVolPtr vol)
{
    char *xml = virStorageVolGetXMLDesc(vol, 0);
    g_autoptr(xmlDoc) doc =
        xml ? vimg_xml_parse(xml, "(storage_volume_definition)", "volume", NULL, NULL) : NULL;
    xmlNode *backing = NULL;
    xmlNode *path = NULL;

    free(xml);
    if (!doc || !vimg_xml_child(xmlDocGetRootElement(doc), NULL, "backingStore", &backing, NULL) ||
        !vimg_xml_child(backing, NULL, "path", &path, NULL) || !path)
        return NULL;
    return vimg_xml_text(path);
}

static void
free_volumes(virStorageVolPtr *vols, int n)
{
    for (int i = 0; i < n; i++)
        virStorageVolFree(vols[i]);
    free(vols);
}

/* Whoever cannot tell says yes. */
static gboolean
is_used(virStoragePoolPtr pool, const char *path)
{
    virStorageVolPtr *vols = NULL;
    gboolean used = FALSE;
    int n;

    if (virStoragePoolRefresh(pool, 0) < 0)
        return TRUE;
    n = virStoragePoolListAllVolumes(pool, &vols, 0);
    if (n < 0)
        return TRUE;
    for (int i = 0; i < n && !used; i++) {
        g_autofree char *backing = backing_of(vols[i]);

        used = g_strcmp0(backing, path) == 0;
    }
    free_volumes(vols, n);
    return used;
}

static gboolean
remove_unused(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name)
{
    g_autoptr(virStorageVol) vol = virStorageVolLookupByName(pool->pool, name);
    g_autofree char *file = path_of(primary, pool, name);
    char *path;
    gboolean used;

    if (!vol) {
        if (vimg_host_said(VIR_ERR_NO_STORAGE_VOL))
            vimg_file_remove(file, NULL);
        return FALSE;
    }
    path = virStorageVolGetPath(vol);
    used = !path || is_used(pool->pool, path);
    free(path);
    /* what is not known to be whole is compared: so that is forgotten first */
    return !used && vimg_file_remove(file, NULL) && virStorageVolDelete(vol, 0) == 0;
}

static void
tidy_base(VimgHostPrimary *primary, virConnectPtr connect, GKeyFile *file)
{
    g_autofree char *uuid = g_key_file_get_string(file, GROUP, "pool", NULL);
    g_autofree char *name = g_key_file_get_string(file, GROUP, "volume", NULL);
    g_auto(VimgHostPool) pool = {0};

    if (!uuid || !name || strlen(uuid) >= sizeof(pool.uuid) ||
        !(pool.pool = virStoragePoolLookupByUUIDString(connect, uuid)))
        return;
    g_strlcpy(pool.uuid, uuid, sizeof(pool.uuid));
    vimg_host_base_take(primary, &pool, name, NULL, NULL);
    if (remove_unused(primary, &pool, name))
        vimg_info("removed volume '%s' of the host's pool '%s', on which nothing is an overlay",
                  name, virStoragePoolGetName(pool.pool));
    vimg_host_base_give(primary, &pool, name);
}

/* Returns: (transfer full) what is noted of a base; NULL: it is none of images of @uuid */
static GKeyFile *
load(VimgHostPrimary *primary, const char *base, const char *uuid)
{
    g_autofree char *path = g_build_filename(primary->journal_dir, base, NULL);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *images = NULL;
    g_autofree char *text = NULL;
    gsize size = 0;

    if (!g_str_has_suffix(base, SUFFIX))
        return NULL;
    text = vimg_file_read(path, FILE_MAX, &size, NULL);
    if (!text || !g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, NULL))
        return NULL;
    images = g_key_file_get_string(file, GROUP, "images", NULL);
    return g_strcmp0(images, uuid) == 0 ? g_steal_pointer(&file) : NULL;
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
        if (!connect && !(connect = vimg_host_primary_connect(primary, NULL, NULL)))
            return;
        tidy_base(primary, connect, file);
    }
}
