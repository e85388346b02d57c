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
#include <sys/stat.h>
#include <libvirt/virterror.h>

#include "host/primary-private.h"
#include "util/file.h"
#include "util/log.h"

#define GROUP VIMG_HOST_ENTRY_GROUP
#define FRESH ((guint64)1024 * 1024) /* bytes that a volume of files may take before any came */
#define LEFT 1                       /* seconds by which clocks of files and ours may differ */
#define KILLED 5                     /* seconds in which one is made whose daemon was killed then */
#define QUEUE 60                     /* seconds for which libvirt may have let that one wait */
#define LATE 10  /* seconds in which libvirt makes one that nobody waits for any more */
#define LATER 32 /* the same of one that was seen while it was made */
#define KIB 1024
#define NAP ((gint64)250 * 1000)  /* microseconds until it is asked whether to go on */
#define BESIDE "virtimage.clone." /* and the id of the entry */
#define AWAY ".old"               /* behind that: the empty one whose place it takes */

struct _VimgHostEntry {
    VimgHostPrimary *primary;
    char *id;
    char *path;
    GKeyFile *file;
};

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
    gsize size = 0;
    g_autofree char *text = g_key_file_to_data(entry->file, &size, NULL);

    return vimg_file_replace(entry->path, text, size, 0600, error);
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

char *
vimg_host_entry_id(const char *base)
{
    return g_strndup(base, strlen(base) - strlen(VIMG_HOST_ENTRY_SUFFIX));
}

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

static gint64
now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

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

/* Returns: (transfer full) what is live, but in no file yet */
static VimgHostEntry *
begin(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name, VimgTransfer *job,
      GError **error)
{
    VimgHostEntry *entry = g_new0(VimgHostEntry, 1);
    g_autofree char *base = NULL;

    entry->primary = vimg_host_primary_ref(primary);
    entry->id = g_uuid_string_random();
    base = g_strconcat(entry->id, VIMG_HOST_ENTRY_SUFFIX, NULL);
    entry->path = g_build_filename(primary->journal_dir, base, NULL);
    entry->file = g_key_file_new();
    g_key_file_set_string(entry->file, GROUP, "pool", pool->uuid);
    g_key_file_set_string(entry->file, GROUP, "volume", name);
    g_key_file_set_int64(entry->file, GROUP, "begun", now());
    if (go_live(entry, pool, name, job, error))
        return entry;
    entry_free(entry);
    return NULL;
}

VimgHostEntry *
vimg_host_journal_begin_whole(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name,
                              VimgTransfer *job, GError **error)
{
    return begin(primary, pool, name, job, error);
}

VimgHostEntry *
vimg_host_journal_begin(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name,
                        guint64 capacity, guint64 size, VimgTransfer *job, GError **error)
{
    VimgHostEntry *entry = begin(primary, pool, name, job, error);

    if (!entry)
        return NULL;
    g_key_file_set_uint64(entry->file, GROUP, "capacity", capacity);
    g_key_file_set_uint64(entry->file, GROUP, "mark", vimg_host_mark_place(size));
    if (save(entry, error))
        return entry;
    vimg_host_journal_end(entry, NULL);
    return NULL;
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
    g_autofree char *base = g_strconcat(id, VIMG_HOST_ENTRY_SUFFIX, NULL);
    g_autofree char *path = g_build_filename(primary->journal_dir, base, NULL);
    g_autofree char *beside = g_strconcat(BESIDE, id, NULL);
    g_autofree char *away = g_strconcat(beside, AWAY, NULL);
    gsize size = 0;
    g_autofree char *text = NULL;

    g_key_file_set_string(file, GROUP, "identity", identity);
    g_key_file_set_string(file, GROUP, "second", identity); /* so only if it still holds nothing */
    g_key_file_set_string(file, GROUP, VIMG_HOST_ENTRY_BESIDE, beside);
    text = g_key_file_to_data(file, &size, NULL);
    return vimg_file_replace(path, text, size, 0600, error) &&
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
    return vimg_host_journal_is_it(entry->file, entry->id, connect, pool, vol, it, error);
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
    g_key_file_set_int64(entry->file, GROUP, "until", now());
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

/* ---- telling it from others --------------------------------------------------------------- */

gboolean
vimg_host_journal_is_answered(GKeyFile *file)
{
    if (g_key_file_has_key(file, GROUP, "identity", NULL))
        return TRUE;
    if (g_key_file_has_key(file, GROUP, "answered", NULL))
        return g_key_file_get_boolean(file, GROUP, "answered", NULL);
    return g_key_file_has_key(file, GROUP, "until", NULL); /* older daemons did not say */
}

void
vimg_host_journal_is_seen(GKeyFile *file)
{
    if (!g_key_file_has_key(file, GROUP, "until", NULL) &&
        !g_key_file_has_key(file, GROUP, "seen", NULL))
        g_key_file_set_int64(file, GROUP, "seen", now());
}

/* Until when somebody waited for it.  When a daemon was killed nobody knows: at the latest when the
 * next one saw what it left, and long before that libvirt had answered. */
static gint64
waited_until(GKeyFile *file)
{
    gint64 begun = g_key_file_get_int64(file, GROUP, "begun", NULL);
    gint64 until = g_key_file_get_int64(file, GROUP, "until", NULL);
    gint64 seen = g_key_file_get_int64(file, GROUP, "seen", NULL);

    return until ? until : CLAMP(seen, begun, begun + QUEUE);
}

/* The second, since 1970, in which it was made at last. */
static gint64
made_until(GKeyFile *file)
{
    gint64 made = g_key_file_get_int64(file, GROUP, "made", NULL);

    return MAX(waited_until(file) + (vimg_host_journal_is_answered(file) ? LEFT : LATE),
               made ? made + LATER : 0);
}

/* The same where only its size and that time tell it from others, which may hold something. */
static gint64
surely_until(GKeyFile *file)
{
    gint64 begun = g_key_file_get_int64(file, GROUP, "begun", NULL);
    gint64 until = g_key_file_get_int64(file, GROUP, "until", NULL);

    return until ? until + LEFT : begun + KILLED;
}

gboolean
vimg_host_journal_may_come(GKeyFile *file)
{
    gint64 begun = g_key_file_get_int64(file, GROUP, "begun", NULL);

    return !vimg_host_journal_is_answered(file) && now() >= begun && now() <= made_until(file);
}

/* Whole seconds; 0: nobody knows */
static gint64
changed_at(virStorageVolPtr vol)
{
    g_autofree char *mtime = vimg_host_volume_mtime(vol);
    gint64 seconds = 0;

    if (!mtime)
        return 0;
    mtime[strcspn(mtime, ".")] = '\0';
    return g_ascii_string_to_signed(mtime, 10, 0, G_MAXINT64, &seconds, NULL) ? seconds : 0;
}

gboolean
vimg_host_journal_ask(const VimgHostPool *pool, const char *name, gboolean *there)
{
    g_autofree char *identity = NULL;
    g_autoptr(GError) error = NULL;

    *there = pool->foreign && vimg_foreign_identity(pool->foreign, name, &identity, &error);
    return *there || g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

void
vimg_host_journal_is_made(GKeyFile *file)
{
    g_key_file_set_int64(file, GROUP, "made", now());
}

/* It is raw and has no block, so whoever made it has nothing in it. */
static gboolean
is_empty(virStorageVolPtr vol)
{
    g_autofree char *format = NULL;
    guint64 capacity;
    guint64 allocation;

    return vimg_host_volume_look(vol, &format, &capacity, &allocation, NULL) && allocation == 0 &&
           strcmp(format, "raw") == 0;
}

/*
 * One that has no mark yet: nothing came into it, and it was changed last while it was being made,
 * when nobody else could make one of its name.  Later somebody else could.
 */
static gboolean
is_fresh(GKeyFile *file, const VimgHostPool *pool, virStorageVolPtr vol)
{
    guint64 capacity = g_key_file_get_uint64(file, GROUP, "capacity", NULL);
    gint64 begun = g_key_file_get_int64(file, GROUP, "begun", NULL);
    gint64 changed = changed_at(vol);
    virStorageVolInfo info;

    return pool->kind == VIMG_HOST_FILES && virStorageVolGetInfo(vol, &info) == 0 &&
           info.allocation <= FRESH && info.capacity / KIB == capacity / KIB && begun > 0 &&
           changed >= begun - 1 &&
           (changed <= surely_until(file) || (changed <= made_until(file) && is_empty(vol)));
}

/* The same of a backend of ours, which looks into it. */
static gboolean
is_fresh_foreign(GKeyFile *file, const VimgHostPool *pool, virStorageVolPtr vol, gboolean *it,
                 GError **error)
{
    guint64 capacity = g_key_file_get_uint64(file, GROUP, "capacity", NULL);
    gint64 begun = g_key_file_get_int64(file, GROUP, "begun", NULL);

    return begun <= 0 || vimg_foreign_fresh(pool->foreign, virStorageVolGetName(vol), capacity,
                                            begun - 1, made_until(file), it, error);
}

/* Nothing is written to one that another is to replace: what is in it is not ours. */
static gboolean
is_blank_foreign(GKeyFile *file, const VimgHostPool *pool, virStorageVolPtr vol, gboolean *it,
                 GError **error)
{
    guint64 capacity = g_key_file_get_uint64(file, GROUP, "capacity", NULL);

    return vimg_foreign_fresh(pool->foreign, virStorageVolGetName(vol), capacity, 0, G_MAXINT64, it,
                              error);
}

static gboolean
is_foreign(GKeyFile *file, const VimgHostPool *pool, virStorageVolPtr vol, gboolean *it,
           GError **error)
{
    g_autofree char *identity = g_key_file_get_string(file, GROUP, "identity", NULL);
    g_autofree char *second = g_key_file_get_string(file, GROUP, "second", NULL);
    g_autofree char *found = NULL;

    *it = FALSE;
    if (!pool->foreign)
        return TRUE;
    if (!identity)
        return is_fresh_foreign(file, pool, vol, it, error);
    if (!vimg_foreign_identity(pool->foreign, virStorageVolGetName(vol), &found, error))
        return FALSE;
    if (second && g_strcmp0(identity, found) == 0)
        return is_blank_foreign(file, pool, vol, it, error);
    *it = found && (strcmp(identity, found) == 0 || g_strcmp0(second, found) == 0);
    return TRUE;
}

gboolean
vimg_host_journal_is_it(GKeyFile *file, const char *id, virConnectPtr connect,
                        const VimgHostPool *pool, virStorageVolPtr vol, gboolean *it,
                        GError **error)
{
    guint64 place = g_key_file_get_uint64(file, GROUP, "mark", NULL);

    if (pool->kind == VIMG_HOST_OTHERS)
        return is_foreign(file, pool, vol, it, error);
    *it = FALSE;
    if (place != VIMG_HOST_NO_MARK && g_key_file_has_key(file, GROUP, "mark", NULL) &&
        !vimg_host_mark_look(connect, vol, id, place, it, error))
        return FALSE;
    *it = *it || is_fresh(file, pool, vol);
    return TRUE;
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
