/*
 * primary-reaper.c: unfinished volumes of the host that stayed
 *
 * What a daemon left that was killed, and what could not be removed because the host's daemon was
 * gone, a thread removes once both are there again.  What is not provably the volume that was
 * left unfinished stays, whoever has made it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/socket.h>
#include <libvirt/virterror.h>

#include "host/primary-entry.h"
#include "host/primary-journal.h"
#include "host/primary-moment.h"
#include "util/file.h"
#include "util/log.h"
#include "util/uuid.h"

#define GROUP VIMG_HOST_ENTRY_GROUP
#define FILE_MAX 65536 /* bytes */
/* until what could not be removed is tried again: at first, and at last */
#define AGAIN ((gint64)1 * G_USEC_PER_SEC)
#define AT_LAST ((gint64)30 * G_USEC_PER_SEC)

/*
 * *@there: whether the storage has a volume @name, asked without libvirt, which stops a pool that
 * it cannot refresh.  FALSE: it does not answer, or libvirt alone could tell
 */
static gboolean
ask_storage(const VimgHostPool *pool, const char *name, gboolean *there)
{
    g_autofree char *identity = NULL;
    g_autoptr(GError) error = NULL;

    *there = pool->foreign && vimg_foreign_identity(pool->foreign, name, &identity, &error);
    return *there || g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/*
 * What libvirt does not list it may have made all the same: without an answer the storage itself is
 * asked, where a backend of ours can.  Returns: (transfer full) NULL: *@gone, and will not come; or
 * nobody can tell
 */
static virStorageVolPtr
find_volume(const VimgHostPool *pool, const char *name, GKeyFile *file, gboolean *gone)
{
    gboolean late = vimg_host_entry_may_come(file); /* first: what came until then is seen */
    virStorageVolPtr vol = virStorageVolLookupByName(pool->pool, name);
    gboolean there = FALSE;

    *gone = !vol && vimg_host_said(VIR_ERR_NO_STORAGE_VOL);
    if (!*gone || vimg_host_entry_is_answered(file))
        return vol;
    *gone = !late && (!pool->foreign || ask_storage(pool, name, &there));
    if (!there)
        return NULL;
    *gone = FALSE;
    return virStoragePoolRefresh(pool->pool, 0) == 0 ? virStorageVolLookupByName(pool->pool, name)
                                                     : NULL;
}

static void
warn_kept(const VimgHostPool *pool, const char *name)
{
    vimg_warning(
        "volume '%s' of the host's pool '%s' is not provably the one that a clone left unfinished, so it stays",
        name, virStoragePoolGetName(pool->pool));
}

/*
 * @identity: what had the name before it was looked at, NULL: that is known otherwise.  *@it
 * becomes FALSE if it is another after all.  Returns: whether nothing is left to be done
 */
static gboolean
drop(VimgHostPrimary *primary, const VimgHostPool *pool, virStorageVolPtr vol, GKeyFile *file,
     const char *id, const char *identity, gboolean *it)
{
    g_autoptr(GError) error = NULL;

    if (!identity)
        return virStorageVolDelete(vol, 0) == 0;
    if (vimg_host_journal_put_away(primary, file, id, pool, identity, &error)) {
        virStoragePoolRefresh(pool->pool, 0); /* libvirt did not do it; it still shows it, else */
        return TRUE;
    }
    if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT))
        return virStorageVolDelete(vol, 0) == 0;
    *it = !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    return !*it;
}

/* Returns: whether nothing is left to be done. */
static gboolean
remove_volume(VimgHostPrimary *primary, virConnectPtr connect, const VimgHostPool *pool,
              const char *name, GKeyFile *file, const char *id)
{
    gboolean gone = FALSE;
    g_autoptr(virStorageVol) vol = find_volume(pool, name, file, &gone);
    g_autofree char *identity = NULL;
    g_autoptr(GError) error = NULL;
    gboolean it = FALSE;

    if (!vol)
        return gone;
    if (pool->foreign && !g_key_file_has_key(file, GROUP, "identity", NULL) &&
        !vimg_foreign_identity(pool->foreign, name, &identity, NULL))
        return FALSE;
    if (!vimg_host_entry_is_it(file, id, connect, pool, vol, &it, &error)) {
        if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID))
            vimg_host_entry_stamp(file, "made");
        return FALSE;
    }
    if (it && !drop(primary, pool, vol, file, id, identity, &it))
        return FALSE;
    if (!it) {
        warn_kept(pool, name);
        return TRUE;
    }
    vimg_info("removed the unfinished volume '%s' of the host's pool '%s'", name,
              virStoragePoolGetName(pool->pool));
    return TRUE;
}

/* One that is not there may be defined again, and then shows what was left in it. */
static gboolean
settle_in(VimgHostPrimary *primary, virConnectPtr connect, const VimgPoolId *where,
          const char *name, GKeyFile *file, const char *id)
{
    g_auto(VimgHostPool) pool = {0};

    if (!vimg_host_pool_find(connect, where, &pool, NULL))
        return FALSE;
    if (pool.kind == VIMG_HOST_OTHERS &&
        !vimg_host_pool_open_foreign(primary, connect, &pool, NULL))
        return FALSE;
    return vimg_host_journal_drop_beside(file, &pool) &&
           remove_volume(primary, connect, &pool, name, file, id);
}

/* What was learnt while it could not be removed. */
static void
keep(const char *path, GKeyFile *file, const char *before)
{
    g_autofree char *after = g_key_file_to_data(file, NULL, NULL);
    g_autoptr(GError) error = NULL;

    if (strcmp(after, before) != 0 && !vimg_host_entry_store(path, file, &error))
        vimg_warning("%s", error->message);
}

/* What nobody understands goes.  Returns: (transfer full) NULL: it cannot be read */
static GKeyFile *
read_entry(const char *path, char **text)
{
    GKeyFile *file = g_key_file_new();
    gsize size = 0;

    *text = vimg_file_read(path, FILE_MAX, &size, NULL);
    if (!*text)
        g_clear_pointer(&file, g_key_file_unref);
    else
        g_key_file_load_from_data(file, *text, size, G_KEY_FILE_NONE, NULL);
    return file;
}

/* In its turn: before that a clone of the name may have ended it, and must find it ended. */
static gboolean
settle_now(VimgHostPrimary *primary, virConnectPtr connect, const VimgPoolId *where,
           const char *name, const char *path, const char *id)
{
    g_autofree char *text = NULL;
    g_autoptr(GKeyFile) file = read_entry(path, &text);

    if (!file)
        return !g_file_test(path, G_FILE_TEST_EXISTS);
    vimg_host_entry_set_seen(file);
    if (settle_in(primary, connect, where, name, file, id))
        return vimg_file_remove(path, NULL);
    keep(path, file, text);
    return FALSE;
}

static gboolean
settle_file(VimgHostPrimary *primary, virConnectPtr connect, const char *base)
{
    g_autofree char *path = g_build_filename(primary->journal_dir, base, NULL);
    g_autofree char *id = vimg_host_entry_id(base);
    g_autofree char *text = NULL;
    g_autoptr(GKeyFile) file = read_entry(path, &text);
    g_autofree char *uuid = file ? g_key_file_get_string(file, GROUP, "pool", NULL) : NULL;
    g_autofree char *name = file ? g_key_file_get_string(file, GROUP, "volume", NULL) : NULL;
    g_autofree char *turn = NULL;
    VimgPoolId where = {0};
    gboolean done;

    if (!file)
        return FALSE;
    if (!uuid || !name || !vimg_uuid_parse(uuid, where.uuid))
        return vimg_file_remove(path, NULL);
    turn = g_strconcat(uuid, ".", name, NULL);
    if (!vimg_host_journal_take(primary, turn))
        return FALSE;
    done = settle_now(primary, connect, &where, name, path, id);
    vimg_host_journal_give(primary);
    return done;
}

/* While it is known, whoever stops the reaper ends the connection: the host's daemon may wait for a
 * storage that does not answer.  Returns: whether nobody has stopped it yet */
static gboolean
set_line(VimgHostPrimary *primary, int line)
{
    VIMG_LOCK_GUARD(&primary->lock);

    primary->line = line;
    return !primary->ending;
}

/* Returns: whether nothing is left. */
static gboolean
reap_by(VimgHostPrimary *primary, virConnectPtr connect, int line, const GPtrArray *left)
{
    gboolean all = TRUE;

    for (guint i = 0; i < left->len; i++)
        all = set_line(primary, line) && settle_file(primary, connect, left->pdata[i]) && all;
    set_line(primary, -1);
    return all;
}

static gboolean
reap_moments(VimgHostPrimary *primary, virConnectPtr connect, int line)
{
    gboolean all = set_line(primary, line) && vimg_host_moments_reap(primary, connect);

    set_line(primary, -1);
    return all;
}

static gboolean
reap(VimgHostPrimary *primary)
{
    g_autoptr(GPtrArray) left = vimg_host_journal_list(primary);
    g_autoptr(VimgHostConnect) connect = NULL;
    vimg_autofd int line = -1;
    gboolean all;

    if (left->len > 0 || vimg_host_moments_are_over(primary))
        connect = vimg_host_primary_connect(primary, NULL, &line, NULL);
    all = left->len == 0 || (connect && reap_by(primary, connect, line, left));
    return reap_moments(primary, connect, line) && all;
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
        if (all) {
            nap = AGAIN;
        } else if (!primary->ending) {
            vimg_cond_wait_until(&primary->changed, &primary->lock, g_get_monotonic_time() + nap);
            nap = primary->left ? AGAIN : MIN(2 * nap, AT_LAST);
            primary->left = TRUE;
        }
    }
    vimg_mutex_unlock(&primary->lock);
}

gboolean
vimg_host_reaper_start(VimgHostPrimary *primary, GError **error)
{
    if (!vimg_dir_make(primary->journal_dir, 0700, error))
        return FALSE;
    primary->left = TRUE;
    primary->reaping =
        vimg_thread_start(&primary->reaper, "vimg-unclone", run_reaper, primary, error);
    return primary->reaping;
}

void
vimg_host_reaper_kick(VimgHostPrimary *primary)
{
    VIMG_LOCK_GUARD(&primary->lock);
    primary->left = TRUE;
    vimg_cond_broadcast(&primary->changed);
}

void
vimg_host_reaper_stop(VimgHostPrimary *primary)
{
    vimg_mutex_lock(&primary->lock);
    primary->ending = TRUE;
    if (primary->line >= 0)
        shutdown(primary->line, SHUT_RDWR);
    vimg_cond_broadcast(&primary->changed);
    vimg_mutex_unlock(&primary->lock);
    if (primary->reaping)
        vimg_thread_join(primary->reaper);
}
