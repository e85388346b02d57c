/*
 * usage.c: how many bytes the slices of a store take, for pools that have a quota
 *
 * A directory whose time of change is as it was holds what it held.  Times are coarse: one that is
 * not well before the newest of all may hide a change yet to come, and is not relied on.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "slice.h"
#include "thread.h"
#include "usage.h"

#define PREFIXES 65536
#define COARSE (2 * G_GINT64_CONSTANT(1000000000)) /* SFTP has whole seconds */
#define BATCH 1024

typedef struct {
    gint64 mtime; /* 0: look again */
    guint64 bytes;
} Prefix;

struct _VimgUsage {
    Prefix *prefixes; /* whoever counts has them */

    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    pthread_cond_t counted;
    gboolean counting;
    gboolean known;
    guint64 total; /* at the last count */
    guint64 added; /* since it began */
};

VimgUsage *
vimg_usage_new(void)
{
    VimgUsage *usage = g_new0(VimgUsage, 1);

    usage->prefixes = g_new0(Prefix, PREFIXES);
    thread_must(pthread_mutex_init(&usage->lock, NULL));
    cond_init(&usage->counted);
    return usage;
}

void
vimg_usage_free(VimgUsage *usage)
{
    if (!usage)
        return;
    pthread_cond_destroy(&usage->counted);
    pthread_mutex_destroy(&usage->lock);
    g_free(usage->prefixes);
    g_free(usage);
}

/* ---- looking ---------------------------------------------------------------------------- */

/* Stats @names in @dir, which are then moved out of @names; @infos: so many, zeroed if gone. */
static int
stat_all(VimgTransport *transport, const char *dir, char *const *names, gsize n, VimgOp *ops)
{
    int result = 0;
    gsize i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_STAT, .path = g_strconcat(dir, "/", names[i], NULL)};
    vimg_transport_run(transport, ops, n);
    for (i = 0; i < n; i++) {
        if (ops[i].result != 0 && ops[i].result != ENOENT)
            result = ops[i].result;
        g_free((char *)ops[i].path);
    }
    return result;
}

static int
measure(VimgTransport *transport, const char *name, guint64 *bytes)
{
    g_autofree char *dir = g_strconcat(VIMG_SLICES_DIR "/", name, NULL);
    g_autofree VimgOp *ops = g_new(VimgOp, BATCH);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(transport, dir, &names);
    gsize i;

    *bytes = 0;
    for (i = 0; result == 0 && i < names->len; i += BATCH) {
        gsize n = MIN(BATCH, names->len - i);
        gsize k;

        result = stat_all(transport, dir, (char *const *)names->pdata + i, n, ops);
        for (k = 0; result == 0 && k < n; k++)
            *bytes += ops[k].result == 0 ? ops[k].info.size : 0;
    }
    return result == ENOENT ? 0 : result;
}

/* "ab12"; nothing else is a prefix directory. */
static gboolean
parse_prefix(const char *name, guint *out)
{
    gsize i;

    *out = 0;
    for (i = 0; i < 4; i++) {
        if (!g_ascii_isxdigit(name[i]) || g_ascii_isupper(name[i]))
            return FALSE;
        *out = *out << 4 | (guint)g_ascii_xdigit_value(name[i]);
    }
    return name[4] == '\0';
}

/* The prefix directories that are there, with their times of change: others count as empty. */
static int
find_prefixes(VimgTransport *transport, gint64 *times)
{
    g_autofree VimgOp *ops = g_new(VimgOp, BATCH);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(transport, VIMG_SLICES_DIR, &names);
    gsize i;

    for (i = 0; result == 0 && i < names->len; i += BATCH) {
        char *const *part = (char *const *)names->pdata + i;
        gsize n = MIN(BATCH, names->len - i);
        guint prefix;
        gsize k;

        result = stat_all(transport, VIMG_SLICES_DIR, part, n, ops);
        for (k = 0; result == 0 && k < n; k++) {
            if (ops[k].result == 0 && ops[k].info.type == VIMG_FILE_DIRECTORY &&
                parse_prefix(part[k], &prefix))
                times[prefix] = MAX(ops[k].info.mtime, 1);
        }
    }
    return result;
}

static int
look(VimgUsage *usage, VimgTransport *transport, guint64 *total)
{
    g_autofree gint64 *times = g_new0(gint64, PREFIXES);
    int result = find_prefixes(transport, times);
    gint64 newest = 0;
    gsize i;

    *total = 0;
    for (i = 0; i < PREFIXES; i++)
        newest = MAX(newest, times[i]);
    for (i = 0; result == 0 && i < PREFIXES; i++) {
        Prefix *prefix = &usage->prefixes[i];
        char name[5];

        if (times[i] == 0) {
            *prefix = (Prefix){0};
        } else if (prefix->mtime != times[i]) {
            g_snprintf(name, sizeof(name), "%04x", (guint)i);
            result = measure(transport, name, &prefix->bytes);
            prefix->mtime = times[i] < newest - COARSE ? times[i] : 0;
        }
        *total += prefix->bytes;
    }
    return result;
}

/* ---- counting --------------------------------------------------------------------------- */

/* Whether this thread is to count.  The lock is held. */
static gboolean
begin_count(VimgUsage *usage)
{
    while (usage->counting && !usage->known)
        thread_must(pthread_cond_wait(&usage->counted, &usage->lock));
    if (usage->counting)
        return FALSE;
    usage->counting = TRUE;
    usage->added = 0;
    return TRUE;
}

int
vimg_usage_count(VimgUsage *usage, VimgTransport *transport, guint64 *bytes)
{
    gboolean mine;
    guint64 total = 0;
    int result = 0;

    thread_must(pthread_mutex_lock(&usage->lock));
    mine = begin_count(usage);
    if (mine) {
        thread_must(pthread_mutex_unlock(&usage->lock));
        result = look(usage, transport, &total);
        thread_must(pthread_mutex_lock(&usage->lock));
        usage->counting = FALSE;
        if (result == 0) {
            usage->total = total;
            usage->known = TRUE;
        }
        pthread_cond_broadcast(&usage->counted);
    }
    *bytes = usage->total + usage->added;
    thread_must(pthread_mutex_unlock(&usage->lock));
    return result;
}

gboolean
vimg_usage_add(VimgUsage *usage, guint64 bytes, guint64 quota, guint64 *used)
{
    LOCK_GUARD(&usage->lock);

    *used = usage->total + usage->added;
    if (bytes > quota - MIN(quota, *used))
        return FALSE;
    usage->added += bytes;
    return TRUE;
}
