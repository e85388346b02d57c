/*
 * watch.c: for how long something has not changed, by nobody's clock but our own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "../thread.h"
#include "watch.h"

#define STEP_MAX (60 * G_USEC_PER_SEC)
#define FORGET_AFTER (600 * G_USEC_PER_SEC) /* what nobody looks at is gone */
#define KEPT 64                             /* of stores that are not open */

typedef struct {
    gint64 mark;
    gint64 looked;
    gint64 same; /* microseconds */
} Seen;

struct _VimgWatch {
    char *name;
    guint users;          /* guarded by all_lock */
    pthread_mutex_t lock; /* guards the rest */
    GHashTable *seen;     /* of Seen, by path */
    gint64 pruned;
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static GQueue all = G_QUEUE_INIT; /* those used last first; guarded by all_lock */

static gint
compare_name(gconstpointer watch, gconstpointer name)
{
    return strcmp(((const VimgWatch *)watch)->name, name);
}

static VimgWatch *
watch_new(const char *name)
{
    VimgWatch *watch = g_new0(VimgWatch, 1);

    watch->name = g_strdup(name);
    thread_must(pthread_mutex_init(&watch->lock, NULL));
    watch->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return watch;
}

static void
watch_free(VimgWatch *watch)
{
    g_hash_table_unref(watch->seen);
    pthread_mutex_destroy(&watch->lock);
    g_free(watch->name);
    g_free(watch);
}

VimgWatch *
vimg_watch_get(const char *name)
{
    LOCK_GUARD(&all_lock);
    GList *link = g_queue_find_custom(&all, name, compare_name);

    if (link)
        g_queue_unlink(&all, link);
    else
        link = g_list_prepend(NULL, watch_new(name));
    g_queue_push_head_link(&all, link);
    ((VimgWatch *)link->data)->users++;
    return link->data;
}

void
vimg_watch_put(VimgWatch *watch)
{
    LOCK_GUARD(&all_lock);
    GList *link = all.tail;

    if (watch)
        watch->users--;
    while (link && all.length > KEPT) {
        GList *before = link->prev;
        VimgWatch *last = link->data;

        if (last->users == 0) {
            g_queue_delete_link(&all, link);
            watch_free(last);
        }
        link = before;
    }
}

static gboolean
is_forgotten(gpointer path, gpointer value, gpointer data)
{
    return *(const gint64 *)data - ((const Seen *)value)->looked > FORGET_AFTER;
}

gint64
vimg_watch_look(VimgWatch *watch, const char *path, gint64 mark, gint64 now)
{
    LOCK_GUARD(&watch->lock);
    Seen *seen;

    if (now - watch->pruned > FORGET_AFTER) {
        g_hash_table_foreach_remove(watch->seen, is_forgotten, &now);
        watch->pruned = now;
    }
    seen = g_hash_table_lookup(watch->seen, path);
    if (!seen) {
        seen = g_new0(Seen, 1);
        seen->mark = mark;
        g_hash_table_insert(watch->seen, g_strdup(path), seen);
    } else if (seen->mark != mark) {
        seen->mark = mark;
        seen->same = 0;
    } else {
        seen->same += CLAMP(now - seen->looked, 0, STEP_MAX);
    }
    seen->looked = now;
    return seen->same;
}
