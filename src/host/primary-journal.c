/*
 * primary-journal.c: volumes of the host that are not complete, so that none is left over
 *
 * A file for each, from before the volume is made until it is complete or gone.  It says by what
 * the volume can be told from another that somebody makes under the same name afterwards.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/virterror.h>

#include "host/primary-entry.h"
#include "host/primary-journal.h"
#include "host/primary-mark.h"
#include "util/file.h"
#include "util/log.h"

#define GROUP VIMG_HOST_ENTRY_GROUP
#define NAP ((gint64)250 * 1000)  /* microseconds until it is asked whether to go on */
#define BESIDE "virtimage.clone." /* and the id of the entry */
#define AWAY ".old"               /* behind that: the empty one whose place it takes */

struct _VimgHostEntry {
    VimgHostPrimary *primary;
    char *id;
    char *path;
    GKeyFile *file;
};

/* Returns: (transfer full) the file of entry @id */
static char *
path_of(const VimgHostPrimary *primary, const char *id)
{
    g_autofree char *base = g_strconcat(id, VIMG_HOST_ENTRY_SUFFIX, NULL);

    return g_build_filename(primary->journal_dir, base, NULL);
}

static void
entry_free(VimgHostEntry *entry)
{
    vimg_host_primary_unref(entry->primary);
    g_key_file_unref(entry->file);
    g_free(entry->path);
    g_free(entry->id);
    g_free(entry);
}

static gboolean
save(VimgHostEntry *entry, GError **error)
{
    return vimg_host_entry_store(entry->path, entry->file, error);
}

/* ---- who is at what --------------------------------------------------------------------- */

/* Under lock: whether a clone makes it. */
static gboolean
is_being_made(VimgHostPrimary *primary, const char *turn)
{
    GHashTableIter iter;
    gpointer now;

    g_hash_table_iter_init(&iter, primary->live);
    while (g_hash_table_iter_next(&iter, NULL, &now)) {
        if (strcmp(now, turn) == 0)
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_host_journal_take(VimgHostPrimary *primary, const char *turn)
{
    VIMG_LOCK_GUARD(&primary->lock);

    if (is_being_made(primary, turn) || g_hash_table_contains(primary->bases, turn))
        return FALSE;
    primary->settling = g_strdup(turn);
    return TRUE;
}

void
vimg_host_journal_give(VimgHostPrimary *primary)
{
    VIMG_LOCK_GUARD(&primary->lock);

    g_clear_pointer(&primary->settling, g_free);
    vimg_cond_broadcast(&primary->changed);
}

/* ---- what there is ------------------------------------------------------------------------ */

static gboolean
is_live(VimgHostPrimary *primary, const char *base)
{
    g_autofree char *id = vimg_host_entry_id(base);

    VIMG_LOCK_GUARD(&primary->lock);
    return g_hash_table_contains(primary->live, id);
}

GPtrArray *
vimg_host_journal_list(VimgHostPrimary *primary)
{
    GPtrArray *left = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(primary->journal_dir, 0, NULL);
    const char *base;

    while (dir && (base = g_dir_read_name(dir))) {
        if (g_str_has_suffix(base, VIMG_HOST_ENTRY_SUFFIX) && !is_live(primary, base))
            g_ptr_array_add(left, g_strdup(base));
    }
    return left;
}

/* ---- a clone ------------------------------------------------------------------------------ */

static gboolean
go_live(VimgHostEntry *entry, const VimgHostPool *pool, const char *name, VimgTransfer *job,
        GError **error)
{
    VimgHostPrimary *primary = entry->primary;
    g_autofree char *turn = g_strconcat(pool->uuid, ".", name, NULL);
    gboolean going = TRUE;

    vimg_mutex_lock(&primary->lock);
    while (going && g_strcmp0(primary->settling, turn) == 0) {
        vimg_cond_wait_until(&primary->changed, &primary->lock, g_get_monotonic_time() + NAP);
        vimg_mutex_unlock(&primary->lock);
        going = vimg_transfer_check(job, error);
        vimg_mutex_lock(&primary->lock);
    }
    if (going)
        g_hash_table_insert(primary->live, g_strdup(entry->id), g_steal_pointer(&turn));
    vimg_mutex_unlock(&primary->lock);
    return going;
}

VimgHostEntry *
vimg_host_journal_begin(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name,
                        VimgTransfer *job, GError **error)
{
    VimgHostEntry *entry = g_new0(VimgHostEntry, 1);

    entry->primary = vimg_host_primary_ref(primary);
    entry->id = g_uuid_string_random();
    entry->path = path_of(primary, entry->id);
    entry->file = g_key_file_new();
    g_key_file_set_string(entry->file, GROUP, "pool", pool->uuid);
    g_key_file_set_string(entry->file, GROUP, "volume", name);
    vimg_host_entry_stamp(entry->file, "begun");
    if (go_live(entry, pool, name, job, error))
        return entry;
    entry_free(entry);
    return NULL;
}

gboolean
vimg_host_journal_note(VimgHostEntry *entry, guint64 capacity, guint64 size, GError **error)
{
    g_key_file_set_uint64(entry->file, GROUP, "capacity", capacity);
    g_key_file_set_uint64(entry->file, GROUP, "mark", vimg_host_mark_place(size));
    if (save(entry, error))
        return TRUE;
    vimg_host_journal_end(entry, NULL);
    return FALSE;
}

static gboolean
is_of(GKeyFile *file, GKeyFile *other, const char *key)
{
    g_autofree char *one = g_key_file_get_string(file, GROUP, key, NULL);
    g_autofree char *two = g_key_file_get_string(other, GROUP, key, NULL);

    return g_strcmp0(one, two) == 0;
}

/* Nobody has, or will get, what @file says but @entry's: libvirt makes no two of one name. */
static gboolean
drop_if_older(const VimgHostEntry *entry, const char *base, GError **error)
{
    g_autofree char *path = g_build_filename(entry->primary->journal_dir, base, NULL);
    g_autoptr(GKeyFile) file = g_key_file_new();

    if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL) &&
        is_of(file, entry->file, "pool") && is_of(file, entry->file, "volume") &&
        !g_key_file_has_key(file, GROUP, VIMG_HOST_ENTRY_BESIDE, NULL))
        return vimg_file_remove(path, error);
    return TRUE;
}

/* Else what was left of one before could be taken for this one, once that is complete and empty. */
static gboolean
drop_all(const VimgHostEntry *entry, const GPtrArray *left, GError **error)
{
    for (guint i = 0; i < left->len; i++) {
        if (!drop_if_older(entry, left->pdata[i], error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
drop_older(const VimgHostEntry *entry, GError **error)
{
    g_autoptr(GPtrArray) left = vimg_host_journal_list(entry->primary);

    return drop_all(entry, left, error);
}

/* Clones that run and ask libvirt for the same name get none.  Returns: (transfer full) the files
 * of them */
static GPtrArray *
pass_others(const VimgHostEntry *entry)
{
    VimgHostPrimary *primary = entry->primary;
    GPtrArray *bases = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer id, turn;
    const char *own;

    VIMG_LOCK_GUARD(&primary->lock);
    own = g_hash_table_lookup(primary->live, entry->id);
    g_hash_table_iter_init(&iter, primary->live);
    while (g_hash_table_iter_next(&iter, &id, &turn)) {
        if (strcmp(id, entry->id) == 0 || g_strcmp0(turn, own) != 0)
            continue;
        g_hash_table_add(primary->passed, g_strdup(id));
        g_ptr_array_add(bases, g_strconcat(id, VIMG_HOST_ENTRY_SUFFIX, NULL));
    }
    return bases;
}

static gboolean
is_passed(const VimgHostEntry *entry)
{
    VIMG_LOCK_GUARD(&entry->primary->lock);
    return g_hash_table_contains(entry->primary->passed, entry->id);
}

gboolean
vimg_host_journal_complete(VimgHostEntry *entry, GError **error)
{
    g_autoptr(GPtrArray) others = pass_others(entry);

    /* also what was left since it was made */
    if (drop_older(entry, error) && drop_all(entry, others, error))
        return vimg_host_journal_end(entry, error);
    entry_free(entry); /* it stays live, as one that cannot be ended */
    return FALSE;
}

gboolean
vimg_host_journal_made(VimgHostEntry *entry, virConnectPtr connect, const VimgHostPool *pool,
                       virStorageVolPtr vol, GError **error)
{
    guint64 place = g_key_file_get_uint64(entry->file, GROUP, "mark", NULL);
    g_autofree char *identity = NULL;

    g_key_file_set_boolean(entry->file, GROUP, "answered", TRUE);
    /* not only when it is complete: what has its name once it was taken back is another's */
    if (!drop_older(entry, error) || (is_passed(entry) && !save(entry, error)))
        return FALSE;
    if (!pool->foreign)
        return place == VIMG_HOST_NO_MARK ||
               vimg_host_mark_put(connect, vol, entry->id, place, error);
    if (!vimg_foreign_identity(pool->foreign, virStorageVolGetName(vol), &identity, error))
        return FALSE;
    if (!identity)
        return TRUE;
    g_key_file_set_string(entry->file, GROUP, "identity", identity);
    return save(entry, error);
}

const char *
vimg_host_journal_mark(const VimgHostEntry *entry, guint64 *place)
{
    *place = g_key_file_get_uint64(entry->file, GROUP, "mark", NULL);
    return entry->id;
}

char *
vimg_host_journal_beside(VimgHostEntry *entry, GError **error)
{
    g_autofree char *name = g_strconcat(BESIDE, entry->id, NULL);

    g_key_file_set_string(entry->file, GROUP, VIMG_HOST_ENTRY_BESIDE, name);
    return save(entry, error) ? g_steal_pointer(&name) : NULL;
}

/* It was made, and will be called as the entry says. */
static gboolean
note_second(VimgHostEntry *entry, const VimgHostPool *pool, const char *beside, GError **error)
{
    g_autofree char *identity = NULL;

    if (!vimg_foreign_identity(pool->foreign, beside, &identity, error))
        return FALSE;
    if (!identity)
        return TRUE;
    g_key_file_set_string(entry->file, GROUP, "second", identity);
    return save(entry, error);
}

gboolean
vimg_host_journal_replace(VimgHostEntry *entry, const VimgHostPool *pool, const char *beside,
                          GError **error)
{
    g_autofree char *volume = g_key_file_get_string(entry->file, GROUP, "volume", NULL);
    g_autofree char *identity = g_key_file_get_string(entry->file, GROUP, "identity", NULL);
    g_autofree char *away = g_strconcat(beside, AWAY, NULL);

    return note_second(entry, pool, beside, error) &&
           vimg_foreign_replace(pool->foreign, volume, identity, beside, away, error);
}

gboolean
vimg_host_journal_put_away(VimgHostPrimary *primary, GKeyFile *file, const char *id,
                           const VimgHostPool *pool, const char *identity, GError **error)
{
    g_autofree char *volume = g_key_file_get_string(file, GROUP, "volume", NULL);
    g_autofree char *path = path_of(primary, id);
    g_autofree char *beside = g_strconcat(BESIDE, id, NULL);
    g_autofree char *away = g_strconcat(beside, AWAY, NULL);

    g_key_file_set_string(file, GROUP, "identity", identity);
    g_key_file_set_string(file, GROUP, "second", identity); /* so only if it still holds nothing */
    g_key_file_set_string(file, GROUP, VIMG_HOST_ENTRY_BESIDE, beside);
    return vimg_host_entry_store(path, file, error) &&
           vimg_foreign_replace(pool->foreign, volume, identity, NULL, away, error);
}

gboolean
vimg_host_journal_end_beside(const VimgHostEntry *entry, const VimgHostPool *pool)
{
    return vimg_host_journal_drop_beside(entry->file, pool);
}

gboolean
vimg_host_journal_look(VimgHostEntry *entry, virConnectPtr connect, const VimgHostPool *pool,
                       virStorageVolPtr vol, gboolean *it, GError **error)
{
    return vimg_host_entry_is_it(entry->file, entry->id, connect, pool, vol, it, error);
}

static void
let_go(VimgHostEntry *entry, gboolean left)
{
    VimgHostPrimary *primary = entry->primary;

    VIMG_LOCK_GUARD(&primary->lock);
    g_hash_table_remove(primary->live, entry->id);
    g_hash_table_remove(primary->passed, entry->id);
    primary->left = primary->left || left;
    vimg_cond_broadcast(&primary->changed);
}

gboolean
vimg_host_journal_end(VimgHostEntry *entry, GError **error)
{
    gboolean ok = vimg_file_remove(entry->path, error);

    /* what cannot be removed must not be read as unfinished while this daemon knows better */
    if (ok)
        let_go(entry, FALSE);
    entry_free(entry);
    return ok;
}

void
vimg_host_journal_leave(VimgHostEntry *entry, gboolean answered)
{
    g_autoptr(GError) error = NULL;

    if (!answered && is_passed(entry)) { /* what has the name is another's, and whole */
        vimg_host_journal_end(entry, NULL);
        return;
    }
    g_key_file_set_boolean(entry->file, GROUP, "answered", answered);
    vimg_host_entry_stamp(entry->file, "until");
    if (!save(entry, &error))
        vimg_warning("%s", error->message);
    let_go(entry, TRUE);
    entry_free(entry);
}

/* Its mark tells it from every other; by when it was changed last it could be another's by now. */
void
vimg_host_journal_answered(gpointer entry)
{
    let_go(entry, TRUE);
    entry_free(entry);
}

/* ---- what was to take its place ----------------------------------------------------------- */

/*
 * The empty one whose place it takes goes, unless it is another by now, which gets its name back.
 * Returns: whether nothing is left to be done.
 */
static gboolean
settle_away(GKeyFile *file, const VimgHostPool *pool, const char *by, const char *away)
{
    g_autofree char *volume = g_key_file_get_string(file, GROUP, "volume", NULL);
    g_autofree char *identity = g_key_file_get_string(file, GROUP, "identity", NULL);
    g_autofree char *second = g_key_file_get_string(file, GROUP, "second", NULL);
    gboolean kept = FALSE;

    if (!volume || !identity)
        return TRUE;
    if (!pool->foreign ||
        !vimg_foreign_settle(pool->foreign, volume, identity, second, by, away, &kept, NULL))
        return FALSE;
    if (kept)
        vimg_warning("volume '%s' of the host's pool '%s', which somebody made or wrote to while a "
                     "clone was to take its place, is called '%s' now, as another one has its name",
                     volume, virStoragePoolGetName(pool->pool), away);
    return TRUE;
}

/* Both have names that nobody else has. */
gboolean
vimg_host_journal_drop_beside(GKeyFile *file, const VimgHostPool *pool)
{
    g_autofree char *name = g_key_file_get_string(file, GROUP, VIMG_HOST_ENTRY_BESIDE, NULL);
    g_autofree char *away = g_strconcat(name ? name : "", AWAY, NULL);
    g_autoptr(virStorageVol) vol = NULL;

    if (!name)
        return TRUE;
    /* the storage is asked first: if it does not answer, a refresh would stop its pool */
    if (!settle_away(file, pool, name, away) ||
        virStoragePoolRefresh(pool->pool, 0) < 0) /* libvirt did not make it */
        return FALSE;
    vol = virStorageVolLookupByName(pool->pool, name);
    return vol ? virStorageVolDelete(vol, 0) == 0 : vimg_host_said(VIR_ERR_NO_STORAGE_VOL);
}
