/*
 * scrub.c: reading stored slices again, and setting the bad ones aside
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crew.h"
#include "json.h"
#include "scrub.h"
#include "slice.h"
#include "../thread.h"
#include "../throw.h"

/* Cancelling is noticed within this time. */
#define WAIT_MAX (G_USEC_PER_SEC / 2)
#define MAX_ASIDE 10000 /* copies of one slice in bad/ */
#define MAX_ROUNDS 4
#define WITNESS "store.json" /* readable as long as the storage is */
#define THREADS_FAR 16       /* that wait for a storage far away */
#define MAX_ROW 8            /* slices that cannot be read are the storage's fault */

struct _VimgScrub {
    VimgSliceStore *store;
    VimgPluginJob *job;
    VimgLane *lane;
    VimgScrubSums *sums;
    guint flight_max;
    gint64 reported;
    guint row; /* slices that could not be read since one could; by __atomic builtins */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    guint flight;
    gboolean stop; /* what was pushed is not needed any more */
    VimgScrubSums now;
    GHashTable *left;
    VimgMarks *good;
    gdouble debt;   /* bytes read beyond the rate */
    gint64 drained; /* when it was last counted down */
    GError *failure;
};

typedef struct {
    VimgScrub *scrub;
    VimgSliceId id;
} Task;

typedef enum {
    SLICE_GOOD,
    SLICE_BAD,  /* and out of the way */
    SLICE_LEFT, /* bad, where it was */
    SLICE_GONE,
    SLICE_FOREIGN, /* no file */
} Verdict;

/* ---- one slice -------------------------------------------------------------------------- */

static char *
aside_path(const VimgSliceId *id, guint n)
{
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(id, hex);
    return g_strdup_printf("bad/%s.%u", hex, n);
}

static guint64
plain_length(const VimgSliceId *id, const VimgBuffer *frame)
{
    guint64 length = vimg_slice_length(frame);
    const VimgSliceId *zeros = vimg_zero_id(length);

    return zeros && vimg_id_equal(zeros, id) ? 0 : length;
}

/* A slice as it was found; bytes. */
typedef struct {
    gboolean good;
    guint64 size;
    guint64 plain;
} Found;

/* Whether the file at @path holds slice @id.  Returns: 0 or why that is not known. */
static int
examine(VimgTransport *transport, VimgSliceTools *tools, const char *path, const VimgSliceId *id,
        Found *found)
{
    g_autoptr(VimgBuffer) frame = NULL;
    int result = vimg_transport_read(transport, path, vimg_slice_frame_max(), &frame);

    *found = (Found){.size = result == 0 ? frame->size : 0};
    if (result == EFBIG)
        return 0;
    if (result == 0)
        result = vimg_slice_check(tools, id, frame, &found->good);
    if (found->good)
        found->plain = plain_length(id, frame);
    return result;
}

/*
 * A disk that cannot read a slice (EIO) has a bad one; a storage that is out of reach says the same
 * of all of them.  Returns: what an examination that answered @result is to answer.
 */
static int
weigh(VimgTransport *transport, int result)
{
    g_autoptr(VimgBuffer) witness = NULL;

    if (result == EIO && vimg_transport_read(transport, WITNESS, VIMG_JSON_MAX_SIZE, &witness) == 0)
        return 0;
    return result;
}

/* Durably, or the bad slice would be back after a crash and count as one that was stored again. */
static int
sync_aside(VimgTransport *transport, const VimgSliceId *id)
{
    g_autofree char *dir = vimg_slice_dir(id);
    int result = vimg_transport_sync(transport, "bad");

    return result ? result : vimg_transport_sync(transport, dir);
}

static int
move_aside(VimgTransport *transport, const VimgSliceId *id, const char *place, char **out)
{
    int result = EEXIST;
    guint n;

    for (n = 0; result == EEXIST && n < MAX_ASIDE; n++) {
        g_autofree char *path = aside_path(id, n);
        VimgFileInfo info;

        /* a rename may replace what is there */
        if (vimg_transport_stat(transport, path, &info) != ENOENT)
            continue;
        result = vimg_transport_rename(transport, place, path);
        if (result == 0)
            *out = g_steal_pointer(&path);
    }
    return result;
}

/*
 * What was read may have been moved by another host and stored again before we moved it, so it is
 * read again out of its place.  Returns: ENOENT if somebody who needs it took it back meanwhile.
 */
static int
take_out(VimgTransport *transport, VimgSliceTools *tools, const VimgSliceId *id, Verdict *verdict)
{
    g_autofree char *lifted = NULL;
    g_autofree char *path = NULL;
    Found found;
    int result = vimg_slice_lift(transport, id, &lifted);

    *verdict = result == ENOENT ? SLICE_GONE : SLICE_LEFT;
    if (result != 0)
        return 0;
    result = weigh(transport, examine(transport, tools, lifted, id, &found));
    if (result == 0 && !found.good && move_aside(transport, id, lifted, &path) == 0) {
        *verdict = SLICE_BAD;
        if (sync_aside(transport, id) != 0)
            vimg_slice_store_log(VIMG_LOG_WARNING, "cannot make durable that %s was moved", path);
        vimg_slice_store_log(VIMG_LOG_WARNING, "a bad slice was moved to %s", path);
    } else if (result != ENOENT) {
        int back = vimg_slice_put(transport, lifted, id);

        *verdict = found.good ? SLICE_GOOD : SLICE_LEFT;
        result = result ? result : back;
    }
    vimg_slice_lift_end(transport, lifted);
    return result;
}

static int
set_aside(VimgTransport *transport, VimgSliceTools *tools, const VimgSliceId *id, Verdict *verdict)
{
    int result = ENOENT;
    guint round;

    for (round = 0; result == ENOENT && round < MAX_ROUNDS; round++)
        result = take_out(transport, tools, id, verdict);
    return result == ENOENT ? 0 : result;
}

/* Counts slices in a row that could not be read. */
static int
weigh_row(VimgScrub *scrub, int result)
{
    if (result == 0)
        __atomic_store_n(&scrub->row, 0, __ATOMIC_RELAXED);
    if (result == EIO && __atomic_add_fetch(&scrub->row, 1, __ATOMIC_RELAXED) >= MAX_ROW)
        return EIO;
    return weigh(scrub->store->transport, result);
}

static int
judge(VimgScrub *scrub, VimgSliceTools *tools, const VimgSliceId *id, Verdict *verdict,
      Found *found)
{
    VimgTransport *transport = scrub->store->transport;
    g_autofree char *place = vimg_slice_path(id);
    int result = weigh_row(scrub, examine(transport, tools, place, id, found));

    *verdict = found->good ? SLICE_GOOD : SLICE_LEFT;
    if (result == ENOENT)
        *verdict = SLICE_GONE;
    else if (result == EINVAL || result == EISDIR || result == ELOOP)
        *verdict = SLICE_FOREIGN;
    else if (result != 0)
        return result;
    else if (!found->good && !scrub->store->read_only)
        return set_aside(transport, tools, id, verdict);
    return 0;
}

/* The lock is held. */
static void
count(VimgScrub *scrub, const VimgSliceId *id, Verdict verdict, const Found *found)
{
    gboolean ours = verdict != SLICE_GONE && verdict != SLICE_FOREIGN;

    scrub->now.slices += ours;
    scrub->now.bytes += found->size;
    scrub->now.plain += found->plain;
    scrub->now.bad += verdict == SLICE_BAD || verdict == SLICE_LEFT;
    scrub->now.foreign += verdict == SLICE_FOREIGN;
    scrub->debt += (gdouble)found->size;
    if (verdict == SLICE_LEFT)
        g_hash_table_add(scrub->left, g_memdup2(id, sizeof(*id)));
    if (verdict == SLICE_GOOD)
        vimg_marks_add(scrub->good, id);
}

static void
run_task(VimgSliceTools *tools, gpointer data)
{
    g_autofree Task *task = data;
    VimgScrub *scrub = task->scrub;
    Verdict verdict = SLICE_GONE;
    Found found = {0};
    int result = 0;
    gboolean stop;

    {
        LOCK_GUARD(&scrub->lock);

        stop = scrub->stop;
    }
    if (!stop)
        result = judge(scrub, tools, &task->id, &verdict, &found);
    LOCK_GUARD(&scrub->lock);

    count(scrub, &task->id, verdict, &found);
    if (result != 0 && !scrub->failure) {
        char hex[VIMG_ID_HEX];

        vimg_id_to_hex(&task->id, hex);
        throw_result(&scrub->failure, result, _("cannot read slice %s"), hex);
    }
    scrub->flight--;
    pthread_cond_broadcast(&scrub->changed);
}

/* ---- many ------------------------------------------------------------------------------- */

VimgScrub *
vimg_scrub_new(VimgSliceStore *store, VimgPluginJob *job, VimgScrubSums *sums, GError **error)
{
    gboolean remote = store->transport->remote;
    VimgLane *lane = vimg_lane_new(run_task, remote ? THREADS_FAR : 0, error);
    VimgScrub *scrub;

    if (!lane)
        return NULL;
    scrub = g_new0(VimgScrub, 1);
    scrub->store = store;
    scrub->job = job;
    scrub->lane = lane;
    scrub->sums = sums;
    scrub->flight_max = 2 * (remote ? THREADS_FAR : vimg_crew_size());
    scrub->drained = g_get_monotonic_time();
    scrub->good = vimg_marks_new();
    scrub->left = g_hash_table_new_full(vimg_id_hash, vimg_id_equal_func, g_free, NULL);
    thread_must(pthread_mutex_init(&scrub->lock, NULL));
    cond_init(&scrub->changed);
    return scrub;
}

void
vimg_scrub_free(VimgScrub *scrub)
{
    if (!scrub)
        return;
    vimg_lane_free(scrub->lane);
    g_clear_error(&scrub->failure);
    g_hash_table_unref(scrub->left);
    vimg_marks_free(scrub->good);
    pthread_cond_destroy(&scrub->changed);
    pthread_mutex_destroy(&scrub->lock);
    g_free(scrub);
}

GHashTable *
vimg_scrub_left(VimgScrub *scrub)
{
    return scrub->left;
}

const VimgMarks *
vimg_scrub_good(VimgScrub *scrub)
{
    return scrub->good;
}

/*
 * How long the next slice has to wait, in microseconds.  What the rate allows is never saved up,
 * and a rate that changes holds at once.  The lock is held.
 */
static gint64
pause_for(VimgScrub *scrub)
{
    gdouble rate = (gdouble)__atomic_load_n(&scrub->store->verify_rate, __ATOMIC_RELAXED);
    gint64 now = g_get_monotonic_time();

    scrub->debt -= (gdouble)(now - scrub->drained) * rate / G_USEC_PER_SEC;
    scrub->drained = now;
    if (rate <= 0 || scrub->debt <= 0) {
        scrub->debt = 0;
        return 0;
    }
    return (gint64)MIN(scrub->debt / rate * G_USEC_PER_SEC + 1, (gdouble)WAIT_MAX);
}

/* Waits until another slice may be read. */
static gboolean
wait_for_room(VimgScrub *scrub, GError **error)
{
    while (vimg_slice_store_check_job(scrub->job, error)) {
        gint64 now = g_get_monotonic_time();
        gint64 wait;
        LOCK_GUARD(&scrub->lock);

        if (scrub->failure) {
            g_propagate_error(error, g_error_copy(scrub->failure));
            return FALSE;
        }
        wait = scrub->flight < scrub->flight_max ? pause_for(scrub) : WAIT_MAX;
        if (wait == 0)
            return TRUE;
        cond_wait_until(&scrub->changed, &scrub->lock, now + wait);
    }
    return FALSE;
}

/* @total: 0: not known */
static void
report(VimgScrub *scrub, guint64 total)
{
    guint64 bytes = scrub->sums->bytes;

    if (g_get_monotonic_time() - scrub->reported < WAIT_MAX)
        return;
    scrub->reported = g_get_monotonic_time();
    {
        LOCK_GUARD(&scrub->lock);

        bytes += scrub->now.bytes;
    }
    vimg_slice_store_progress(scrub->job, "checking slices", bytes,
                              total > 0 ? MAX(total, bytes) : 0);
}

/* Waits for what was pushed.  @good: it counts. */
static gboolean
end_run(VimgScrub *scrub, gboolean good, GError **error)
{
    LOCK_GUARD(&scrub->lock);

    scrub->stop = !good;
    while (scrub->flight > 0)
        thread_must(pthread_cond_wait(&scrub->changed, &scrub->lock));
    scrub->stop = FALSE;
    if (good && scrub->failure) {
        g_propagate_error(error, g_error_copy(scrub->failure));
        good = FALSE;
    }
    if (good) {
        scrub->sums->slices += scrub->now.slices;
        scrub->sums->bytes += scrub->now.bytes;
        scrub->sums->plain += scrub->now.plain;
        scrub->sums->bad += scrub->now.bad;
        scrub->sums->foreign += scrub->now.foreign;
    }
    scrub->now = (VimgScrubSums){0};
    return good;
}

gboolean
vimg_scrub_run(VimgScrub *scrub, const GArray *ids, guint64 total, GError **error)
{
    gboolean good = TRUE;
    guint i;

    for (i = 0; good && i < ids->len; i++) {
        Task *task;

        report(scrub, total);
        good = wait_for_room(scrub, error);
        if (!good)
            break;
        task = g_new0(Task, 1);
        task->scrub = scrub;
        task->id = g_array_index(ids, VimgSliceId, i);
        {
            LOCK_GUARD(&scrub->lock);

            scrub->flight++;
        }
        vimg_lane_push(scrub->lane, task);
    }
    return end_run(scrub, good, error);
}

/* ---- back ------------------------------------------------------------------------------- */

/* "<id>.<n>" */
static gboolean
rescue_one(VimgSliceStore *store, VimgSliceTools *tools, const char *name)
{
    g_autofree char *path = g_strconcat("bad/", name, NULL);
    g_autofree char *place = NULL;
    g_autofree char *dir = NULL;
    VimgFileInfo info;
    VimgSliceId id;
    Found found;

    if (!vimg_id_parse(name, &id) || name[2 * VIMG_ID_SIZE] != '.')
        return FALSE;
    place = vimg_slice_path(&id);
    dir = vimg_slice_dir(&id);
    return vimg_transport_stat(store->transport, place, &info) == ENOENT &&
           examine(store->transport, tools, path, &id, &found) == 0 && found.good &&
           vimg_slice_put(store->transport, path, &id) == 0 &&
           vimg_transport_sync(store->transport, dir) == 0;
}

gboolean
vimg_scrub_rescue(VimgSliceStore *store, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(store->transport, "bad", &names);
    guint i;

    if (result == ENOENT)
        return TRUE;
    if (result != 0)
        return throw_result(error, result, _("cannot list the slices"));
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (!vimg_slice_store_check_job(job, error))
            return FALSE;
        if (rescue_one(store, tools, name))
            vimg_slice_store_log(VIMG_LOG_INFO, "bad/%s is good and was moved back", name);
    }
    return TRUE;
}
