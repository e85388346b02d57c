/*
 * primary-journal.c: volumes of the host that are not complete, so that none is left over
 *
 * A file for each, from before the volume is made until it is complete or gone.  What a daemon left
 * that was killed, and what could not be removed because the host's daemon was gone, a thread
 * removes once both are there again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <libvirt/virterror.h>

#include "host/primary-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define GROUP "clone"
#define SUFFIX ".clone"
#define FILE_MAX 65536 /* bytes */
/* until what could not be removed is tried again: at first, and at last */
#define AGAIN ((gint64)1 * G_USEC_PER_SEC)
#define AT_LAST ((gint64)30 * G_USEC_PER_SEC)
#define FRESH ((guint64)1024 * 1024) /* bytes that a volume of files may take before any came */

struct _VimgHostEntry {
    VimgHostPrimary *primary;
    char *id;
    char *path;
    GKeyFile *file;
};

static void
entry_free(VimgHostEntry *entry)
{
    g_key_file_unref(entry->file);
    g_free(entry->path);
    g_free(entry->id);
    g_free(entry);
}

static gboolean
save(VimgHostEntry *entry, GError **error)
{
    gsize size = 0;
    g_autofree char *text = g_key_file_to_data(entry->file, &size, NULL);

    return vimg_file_replace(entry->path, text, size, 0600, error);
}

/* ---- a clone ------------------------------------------------------------------------------ */

VimgHostEntry *
vimg_host_journal_begin(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name,
                        guint64 capacity, GError **error)
{
    VimgHostEntry *entry = g_new0(VimgHostEntry, 1);
    g_autofree char *base = NULL;

    entry->primary = primary;
    entry->id = g_uuid_string_random();
    base = g_strconcat(entry->id, SUFFIX, NULL);
    entry->path = g_build_filename(primary->journal_dir, base, NULL);
    entry->file = g_key_file_new();
    g_key_file_set_string(entry->file, GROUP, "pool", pool->uuid);
    g_key_file_set_string(entry->file, GROUP, "volume", name);
    g_key_file_set_uint64(entry->file, GROUP, "capacity", capacity);
    vimg_mutex_lock(&primary->lock);
    g_hash_table_add(primary->live, g_strdup(entry->id));
    vimg_mutex_unlock(&primary->lock);
    if (save(entry, error))
        return entry;
    vimg_host_journal_end(entry);
    return NULL;
}

gboolean
vimg_host_journal_made(VimgHostEntry *entry, const char *key, GError **error)
{
    g_key_file_set_string(entry->file, GROUP, "key", key);
    return save(entry, error);
}

static void
let_go(VimgHostEntry *entry, gboolean left)
{
    VimgHostPrimary *primary = entry->primary;

    VIMG_LOCK_GUARD(&primary->lock);
    g_hash_table_remove(primary->live, entry->id);
    primary->left = primary->left || left;
    vimg_cond_broadcast(&primary->changed);
}

void
vimg_host_journal_end(VimgHostEntry *entry)
{
    g_autoptr(GError) error = NULL;

    if (!vimg_file_remove(entry->path, &error))
        vimg_warning("%s", error->message);
    let_go(entry, FALSE);
    entry_free(entry);
}

void
vimg_host_journal_leave(VimgHostEntry *entry)
{
    let_go(entry, TRUE);
    entry_free(entry);
}

/* ---- what is left over -------------------------------------------------------------------- */

/*
 * Whether @vol is the one that was being made.  Without a key nobody knows who has made it: then it
 * is if nothing came into it yet, so that nothing is lost with it.
 */
static gboolean
is_it(virStorageVolPtr vol, GKeyFile *file)
{
    g_autofree char *key = g_key_file_get_string(file, GROUP, "key", NULL);
    const char *now = virStorageVolGetKey(vol);
    virStorageVolInfo info;

    if (key)
        return g_strcmp0(key, now) == 0;
    return virStorageVolGetInfo(vol, &info) == 0 && info.allocation <= FRESH &&
           info.capacity == g_key_file_get_uint64(file, GROUP, "capacity", NULL);
}

/* Returns: whether nothing is left to be done. */
static gboolean
remove_volume(virStoragePoolPtr pool, const char *name, GKeyFile *file)
{
    g_autoptr(virStorageVol) vol = virStorageVolLookupByName(pool, name);

    if (!vol)
        return vimg_host_said(VIR_ERR_NO_STORAGE_VOL);
    if (!is_it(vol, file)) {
        vimg_info("volume '%s' of the host's pool '%s' is not the unfinished one of that name",
                  name, virStoragePoolGetName(pool));
        return TRUE;
    }
    if (virStorageVolDelete(vol, 0) < 0)
        return FALSE;
    vimg_info("removed the unfinished volume '%s' of the host's pool '%s'", name,
              virStoragePoolGetName(pool));
    return TRUE;
}

static gboolean
settle(virConnectPtr connect, GKeyFile *file)
{
    g_autofree char *uuid = g_key_file_get_string(file, GROUP, "pool", NULL);
    g_autofree char *name = g_key_file_get_string(file, GROUP, "volume", NULL);
    g_autoptr(virStoragePool) pool = NULL;

    if (!uuid || !name)
        return TRUE;
    /* one that is not there may be defined again, and then shows what was left in it */
    pool = virStoragePoolLookupByUUIDString(connect, uuid);
    return pool && remove_volume(pool, name, file);
}

static gboolean
is_live(VimgHostPrimary *primary, const char *base)
{
    g_autofree char *id = g_strndup(base, strlen(base) - strlen(SUFFIX));

    VIMG_LOCK_GUARD(&primary->lock);
    return g_hash_table_contains(primary->live, id);
}

static gboolean
settle_file(VimgHostPrimary *primary, virConnectPtr connect, const char *base)
{
    g_autofree char *path = g_build_filename(primary->journal_dir, base, NULL);
    g_autoptr(GKeyFile) file = g_key_file_new();
    gsize size = 0;
    g_autofree char *text = vimg_file_read(path, FILE_MAX, &size, NULL);

    if (!text)
        return FALSE;
    if (g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, NULL) &&
        !settle(connect, file))
        return FALSE;
    return vimg_file_remove(path, NULL);
}

/* Returns: (transfer full) names of the files whose clones do not run. */
static GPtrArray *
list_left(VimgHostPrimary *primary)
{
    GPtrArray *left = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(primary->journal_dir, 0, NULL);
    const char *base;

    while (dir && (base = g_dir_read_name(dir))) {
        if (g_str_has_suffix(base, SUFFIX) && !is_live(primary, base))
            g_ptr_array_add(left, g_strdup(base));
    }
    return left;
}

/* Returns: whether nothing is left. */
static gboolean
reap(VimgHostPrimary *primary)
{
    g_autoptr(GPtrArray) left = list_left(primary);
    g_autoptr(VimgHostConnect) connect = NULL;
    gboolean all = TRUE;

    if (left->len > 0)
        connect = vimg_host_primary_connect(primary, NULL, NULL);
    for (guint i = 0; i < left->len; i++)
        all = connect && settle_file(primary, connect, left->pdata[i]) && all;
    return all;
}

static void
run_reaper(gpointer data)
{
    VimgHostPrimary *primary = data;
    gint64 nap = AGAIN;

    vimg_mutex_lock(&primary->lock);
    while (!primary->ending) {
        gboolean all;

        if (!primary->left) {
            vimg_cond_wait(&primary->changed, &primary->lock);
            continue;
        }
        primary->left = FALSE;
        vimg_mutex_unlock(&primary->lock);
        all = reap(primary);
        vimg_mutex_lock(&primary->lock);
        if (!all && !primary->ending) {
            vimg_cond_wait_until(&primary->changed, &primary->lock, g_get_monotonic_time() + nap);
            nap = primary->left ? AGAIN : MIN(2 * nap, AT_LAST);
            primary->left = TRUE;
        }
    }
    vimg_mutex_unlock(&primary->lock);
}

gboolean
vimg_host_journal_start(VimgHostPrimary *primary, GError **error)
{
    if (!vimg_dir_make(primary->journal_dir, 0700, error))
        return FALSE;
    primary->left = TRUE;
    primary->reaping =
        vimg_thread_start(&primary->reaper, "vimg-unclone", run_reaper, primary, error);
    return primary->reaping;
}

void
vimg_host_journal_stop(VimgHostPrimary *primary)
{
    vimg_mutex_lock(&primary->lock);
    primary->ending = TRUE;
    vimg_cond_broadcast(&primary->changed);
    vimg_mutex_unlock(&primary->lock);
    if (primary->reaping)
        vimg_thread_join(primary->reaper);
}
