/*
 * primary-entry.c: what a file of the journal says, and which volume that means
 *
 * Names say nothing of who has made a volume.  What is not provably the one that was noted is
 * another's: a mark in it tells, what a backend tells it by, or else that it holds nothing and was
 * made when nobody else could make one of its name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "host/primary-entry.h"
#include "host/primary-mark.h"
#include "util/file.h"

#define GROUP VIMG_HOST_ENTRY_GROUP
#define FRESH ((guint64)1024 * 1024) /* bytes that a volume of files may take before any came */
#define LEFT 1                       /* seconds by which clocks of files and ours may differ */
#define KILLED 5                     /* seconds in which one is made whose daemon was killed then */
#define QUEUE 60                     /* seconds for which libvirt may have let that one wait */
#define LATE 10  /* seconds in which libvirt makes one that nobody waits for any more */
#define LATER 32 /* the same of one that was seen while it was made */
#define KIB 1024

/* ---- its file ----------------------------------------------------------------------------- */

char *
vimg_host_entry_id(const char *base)
{
    return g_strndup(base, strlen(base) - strlen(VIMG_HOST_ENTRY_SUFFIX));
}

gboolean
vimg_host_entry_store(const char *path, GKeyFile *file, GError **error)
{
    gsize size = 0;
    g_autofree char *text = g_key_file_to_data(file, &size, NULL);

    return vimg_file_replace(path, text, size, 0600, error);
}

/* ---- when it was made --------------------------------------------------------------------- */

static gint64
now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

void
vimg_host_entry_stamp(GKeyFile *file, const char *key)
{
    g_key_file_set_int64(file, GROUP, key, now());
}

gboolean
vimg_host_entry_is_answered(GKeyFile *file)
{
    if (g_key_file_has_key(file, GROUP, "identity", NULL))
        return TRUE;
    if (g_key_file_has_key(file, GROUP, "answered", NULL))
        return g_key_file_get_boolean(file, GROUP, "answered", NULL);
    return g_key_file_has_key(file, GROUP, "until", NULL); /* older daemons did not say */
}

void
vimg_host_entry_set_seen(GKeyFile *file)
{
    if (!g_key_file_has_key(file, GROUP, "until", NULL) &&
        !g_key_file_has_key(file, GROUP, "seen", NULL))
        vimg_host_entry_stamp(file, "seen");
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

    return MAX(waited_until(file) + (vimg_host_entry_is_answered(file) ? LEFT : LATE),
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
vimg_host_entry_may_come(GKeyFile *file)
{
    gint64 begun = g_key_file_get_int64(file, GROUP, "begun", NULL);

    return !vimg_host_entry_is_answered(file) && now() >= begun && now() <= made_until(file);
}

/* ---- which volume it is --------------------------------------------------------------------- */

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
vimg_host_entry_is_it(GKeyFile *file, const char *id, virConnectPtr connect,
                      const VimgHostPool *pool, virStorageVolPtr vol, gboolean *it, GError **error)
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
