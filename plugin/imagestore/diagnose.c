/*
 * diagnose.c: the way to a store, step by step
 *
 * Each row of the table at the end is a step, with what must have been found before it is tried.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "diagnose-private.h"
#include "gc-lock.h"
#include "image.h"
#include "lease.h"
#include "location.h"
#include "open.h"
#include "reach.h"
#include "remote.h"
#include "slice.h"
#include "survey.h"
#include "../throw.h"

#define SKEW_MAX 60                        /* seconds */
#define LATENCY_MAX (G_USEC_PER_SEC / 2)   /* a slice is not durable sooner */
#define NAMED_MAX 8                        /* holders of leases in one detail */
#define TIGHT(reserve) ((reserve) / 2 * 3) /* free space below which it soon ends */

/* The transport knows best why it does not answer. */
static char *
describe(const VimgDiagnosis *diagnosis, const char *path, int result)
{
    char *reason = result == ENOTCONN ? vimg_transport_reason(diagnosis->transport) : NULL;

    return reason ? reason : g_strdup_printf("'%s': %s", path, g_strerror(result));
}

static const char *
answer_remedy(const VimgDiagnosis *diagnosis)
{
    return diagnosis->transport && diagnosis->transport->remote
               ? _("see that the server answers, then diagnose again")
               : _("see that the storage answers on this host, as with ls");
}

void
vimg_diagnosis_unread(VimgDiagnosis *diagnosis, const char *path, int result)
{
    g_autofree char *why = describe(diagnosis, path, result);

    tell(diagnosis, VIMG_STEP_FAILED, answer_remedy(diagnosis), "%s", why);
}

/* Returns: (transfer full) what is in @path; NULL: that is the verdict. */
static GPtrArray *
list(VimgDiagnosis *diagnosis, const char *path)
{
    GPtrArray *names = NULL;
    int result = vimg_transport_list(diagnosis->transport, path, &names);

    if (result != 0)
        vimg_diagnosis_unread(diagnosis, path, result);
    return result == 0 ? names : NULL;
}

/* ---- the directory ---------------------------------------------------------------------- */

/* Whose it is, and what is to be done where it cannot be read: on this host that can be seen. */
static void
tell_local(VimgDiagnosis *diagnosis)
{
    const char *dir = diagnosis->pool->dir;
    struct stat st;

    if (stat(dir, &st) < 0)
        memset(&st, 0, sizeof(st)); /* gone meanwhile */
    tell(diagnosis, VIMG_STEP_OK, NULL,
         _("'%1$s' is a directory of user %2$u and group %3$u, mode %4$o"), dir, st.st_uid,
         st.st_gid, st.st_mode & 07777);
}

static void
look_at_directory(VimgDiagnosis *diagnosis)
{
    const char *known = diagnosis->pool->store_id;
    gboolean remote = vimg_remote_is(diagnosis->pool);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(diagnosis->transport, ".", &names);

    diagnosis->reached = result == 0;
    if (result == 0 && !remote)
        tell_local(diagnosis);
    else if (result == 0)
        tell(diagnosis, VIMG_STEP_OK, NULL, _("'%s' can be read"), diagnosis->where);
    else if (result == ENOENT)
        tell(diagnosis, VIMG_STEP_FAILED,
             known ? _("mount the storage there, or correct the path with virsh pool-edit")
                   : _("virsh pool-build makes it"),
             "'%s': %s", diagnosis->where, g_strerror(result));
    else if (result == EACCES || result == EPERM)
        tell(
            diagnosis, VIMG_STEP_FAILED,
            remote
                ? _("let the user that is logged in as read and enter it and all above it: owner, mode, SELinux label")
                : _("let the daemon's user read and enter it and all above it: owner, mode, SELinux label"),
            "'%s': %s", diagnosis->where, g_strerror(result));
    else
        vimg_diagnosis_unread(diagnosis, diagnosis->where, result);
}

/* ---- the store -------------------------------------------------------------------------- */

/* There is none: whether that is as it should be. */
static void
tell_missing(VimgDiagnosis *diagnosis, VimgPlace place)
{
    const VimgPluginPool *pool = diagnosis->pool;

    if (pool->store_id)
        tell(
            diagnosis, VIMG_STEP_FAILED,
            _("mount it there; if it is lost for good, virsh pool-build --overwrite makes a new one"),
            _("store %1$s is not in '%2$s'"), pool->store_id, diagnosis->where);
    else if (place == VIMG_PLACE_FOREIGN && !pool->retrieve_existing)
        tell(
            diagnosis, VIMG_STEP_FAILED,
            _("take another directory, or say <image:retrieve existing='yes'/> to make a store beside them"),
            _("'%s' holds files but no store"), diagnosis->where);
    else
        tell(diagnosis, VIMG_STEP_WARNING, _("virsh pool-build or pool-start makes it"),
             _("'%s' holds no store yet"), diagnosis->where);
}

/* Returns: the first of its directories that is missing, or with @result unread; NULL: none is. */
static const char *
find_gap(VimgTransport *transport, int *result)
{
    static const char *const dirs[] = {VIMG_SLICES_DIR, "names", "images", "pending", "gc", "bad"};
    VimgFileInfo info;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(dirs); i++) {
        *result = vimg_transport_stat(transport, dirs[i], &info);
        if (*result != 0 || info.type != VIMG_FILE_DIRECTORY)
            return dirs[i];
    }
    return NULL;
}

static VimgSliceStore *
peek(const VimgPluginPool *pool, GError **error)
{
    VimgTransport *transport = vimg_reach(pool, NULL, NULL, error);

    return transport ? vimg_slice_store_peek(transport, error) : NULL;
}

static void
look_at_store(VimgDiagnosis *diagnosis)
{
    const VimgPluginPool *pool = diagnosis->pool;
    g_autoptr(VimgSliceStore) store = NULL;
    g_autoptr(GError) error = NULL;
    VimgPlace place = VIMG_PLACE_MISSING;
    const char *gap;
    int result = 0;

    if (vimg_slice_store_survey(diagnosis->transport, &place, &error) &&
        place != VIMG_PLACE_STORE) {
        tell_missing(diagnosis, place);
        return;
    }
    if (!error)
        store = peek(pool, &error);
    gap = store ? find_gap(diagnosis->transport, &result) : NULL;
    if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED))
        tell(diagnosis, VIMG_STEP_FAILED, answer_remedy(diagnosis), "%s", error->message);
    else if (error)
        tell(diagnosis, VIMG_STEP_FAILED,
             _("bring store.json back from a copy, or use the program that made it"), "%s",
             error->message);
    else if (pool->store_id && strcmp(pool->store_id, store->uuid) != 0)
        tell(diagnosis, VIMG_STEP_FAILED,
             _("mount the right one there, or define another pool for this one"),
             _("'%1$s' holds store %2$s instead of store %3$s"), diagnosis->where, store->uuid,
             pool->store_id);
    else if (gap && result != 0 && result != ENOENT)
        vimg_diagnosis_unread(diagnosis, gap, result);
    else if (gap)
        tell(diagnosis, VIMG_STEP_FAILED, _("bring it back from a copy"),
             _("the store lacks its directory '%s'"), gap);
    else
        diagnosis->store = g_steal_pointer(&store);
    if (diagnosis->store)
        tell(diagnosis, VIMG_STEP_OK, NULL, _("store %1$s, format %2$d, slices of %3$llu bytes"),
             diagnosis->store->uuid, VIMG_STORE_FORMAT, ULL(diagnosis->store->slice_size));
}

static void
look_at_space(VimgDiagnosis *diagnosis)
{
    g_autofree char *available = NULL;
    g_autofree char *total = NULL;
    g_autofree char *kept = NULL;
    VimgStepVerdict verdict = VIMG_STEP_OK;
    VimgSpace space;
    int result = vimg_transport_space(diagnosis->transport, &space);
    guint64 reserve = vimg_imagestore_reserve(diagnosis->pool, space.total);

    if (result == ENOTCONN) {
        vimg_diagnosis_unread(diagnosis, diagnosis->where, result);
        return;
    }
    if (result != 0) {
        tell(diagnosis, VIMG_STEP_FAILED, NULL, _("cannot get the free space: %s"),
             g_strerror(result));
        return;
    }
    if (space.total == 0) {
        tell(diagnosis, VIMG_STEP_SKIPPED, NULL, "%s",
             _("the server does not tell how much space is left"));
        return;
    }
    if (space.available <= reserve)
        verdict = VIMG_STEP_FAILED;
    else if (space.available <= TIGHT(reserve))
        verdict = VIMG_STEP_WARNING;
    available = g_format_size_full(space.available, G_FORMAT_SIZE_IEC_UNITS);
    total = g_format_size_full(space.total, G_FORMAT_SIZE_IEC_UNITS);
    kept = g_format_size_full(reserve, G_FORMAT_SIZE_IEC_UNITS);
    tell(
        diagnosis, verdict,
        verdict == VIMG_STEP_OK
            ? NULL
            : _("purge images and clean up, enlarge the file system, or keep less free with <image:space reserve=…/>"),
        _("%1$s of %2$s are free, the last %3$s of them are kept so"), available, total, kept);
}

/* ---- how it works ----------------------------------------------------------------------- */

static void
look_at_latency(VimgDiagnosis *diagnosis)
{
    gboolean slow = diagnosis->latency > LATENCY_MAX;

    tell(diagnosis, slow ? VIMG_STEP_WARNING : VIMG_STEP_OK,
         slow ? _("see who else keeps the disk or the server busy") : NULL,
         _("a small file is durable after %llu microseconds at most"), ULL(diagnosis->latency));
}

static void
look_at_clock(VimgDiagnosis *diagnosis)
{
    gint64 skew = diagnosis->skew;
    gboolean off = ABS(skew) > SKEW_MAX;

    tell(diagnosis, off ? VIMG_STEP_WARNING : VIMG_STEP_OK,
         off ? _("let this host and the server take their time from one source") : NULL,
         skew < 0 ? _("the storage's clock is %llu seconds behind that of this host")
                  : _("the storage's clock is %llu seconds ahead of that of this host"),
         ULL(ABS(skew)));
}

/* ---- what lies in it -------------------------------------------------------------------- */

static void
look_at_leases(VimgDiagnosis *diagnosis)
{
    VimgSliceStore *store = diagnosis->store;
    g_autoptr(GString) holders = g_string_new(NULL);
    g_autoptr(GPtrArray) names = list(diagnosis, "pending");
    g_autofree VimgSurveyed *items = NULL;
    guint dead = 0;
    guint i;

    if (!names)
        return;
    items = g_new0(VimgSurveyed, names->len);
    for (i = 0; i < names->len; i++)
        items[i].dir = g_strconcat("pending/", names->pdata[i], NULL);
    vimg_survey_owners(store, items, names->len, g_get_monotonic_time());
    for (i = 0; i < names->len; i++) {
        dead += items[i].dead;
        if (!items[i].dead && i < NAMED_MAX) {
            g_autofree char *holder = vimg_survey_holder(store, names->pdata[i]);

            g_string_append_printf(holders, "%s%s", holders->len > 0 ? ", " : ": ", holder);
        }
        g_free((char *)items[i].dir);
    }
    tell(diagnosis, dead > 0 ? VIMG_STEP_WARNING : VIMG_STEP_OK,
         dead > 0 ? _("an active pool ends them within a quarter of an hour") : NULL,
         _("%1$u leases, %2$u of them of processes that are gone%3$s"), names->len, dead,
         holders->str);
}

typedef struct {
    guint present, deleted, bad;
    guint unread; /* which may be good */
    char *first;  /* of these */
    int why;
} Images;

static void
count_image(Images *images, const VimgImageLook *look)
{
    const VimgStoredImage *stored = &look->stored;
    g_autofree char *fault = NULL;

    if (look->result != 0) {
        if (images->unread++ == 0) {
            images->first = g_strconcat("images/", look->uuid, NULL);
            images->why = look->result;
        }
        return;
    }
    if (stored->manifest)
        fault = vimg_image_find_fault(stored);
    images->present += stored->claimed && !stored->deleted;
    images->deleted += stored->deleted;
    images->bad += stored->present && (!stored->manifest || fault || stored->damage);
}

static void
look_at_images(VimgDiagnosis *diagnosis)
{
    g_autoptr(GPtrArray) names = list(diagnosis, "images");
    g_autoptr(GPtrArray) uuids = g_ptr_array_new();
    Images images = {0};
    guint i;
    guint k;

    for (i = 0; names && i < names->len; i++)
        if (vimg_image_is_uuid(names->pdata[i]))
            g_ptr_array_add(uuids, names->pdata[i]);
    for (i = 0; i < uuids->len && vimg_slice_store_check_job(diagnosis->job, NULL);
         i += VIMG_IMAGE_LOOKS) {
        g_autoptr(GArray) looks = NULL;

        vimg_slice_store_progress(diagnosis->job, "looking at images", i, uuids->len);
        looks = vimg_image_look_some(diagnosis->store, uuids, i, VIMG_IMAGE_LOOKS);
        for (k = 0; k < looks->len; k++)
            count_image(&images, &g_array_index(looks, VimgImageLook, k));
    }
    if (images.unread > 0)
        vimg_diagnosis_unread(diagnosis, images.first, images.why);
    else if (names)
        tell(diagnosis, images.bad > 0 ? VIMG_STEP_WARNING : VIMG_STEP_OK,
             images.bad > 0 ? _("the list of images names them with the reason; verify says more")
                            : NULL,
             _("%1$u images, %2$u in the trash; %3$u of all cannot be used"), images.present,
             images.deleted, images.bad);
    g_free(images.first);
}

typedef struct {
    guint64 n;
    int result; /* of the first that could not be counted */
} Slices;

static gboolean
count_slices(VimgTransport *transport, const char *path, gpointer data)
{
    g_autoptr(GPtrArray) names = NULL;
    Slices *slices = data;
    int result = vimg_transport_list(transport, path, &names);

    if (result == 0)
        slices->n += names->len;
    else if (result != ENOENT && result != ENOTDIR)
        slices->result = result;
    return slices->result != 0;
}

static void
look_at_leftovers(VimgDiagnosis *diagnosis)
{
    Slices condemned = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) runs = NULL;

    vimg_gc_each(diagnosis->transport, VIMG_GC_CONDEMNED, count_slices, &condemned);
    /* after that, which says nothing of a directory that it cannot read */
    runs = vimg_gc_old_runs(diagnosis->store, &error);
    if (condemned.result != 0)
        vimg_diagnosis_unread(diagnosis, "gc", condemned.result);
    else if (!runs)
        tell(diagnosis, VIMG_STEP_FAILED, answer_remedy(diagnosis), "%s", error->message);
    else
        tell(diagnosis, runs->len > 0 ? VIMG_STEP_WARNING : VIMG_STEP_OK,
             runs->len > 0 ? _("the next cleanup ends them, once the jobs they wait for have ended")
                           : NULL,
             _("%1$u cleanups did not end, %2$llu slices wait to be freed"), runs->len,
             ULL(condemned.n));
}

static void
look_at_damage(VimgDiagnosis *diagnosis)
{
    g_autoptr(GPtrArray) names = list(diagnosis, "bad");
    guint n = names ? names->len : 0;

    if (!names)
        return;
    tell(diagnosis, n > 0 ? VIMG_STEP_WARNING : VIMG_STEP_OK,
         n > 0 ? _("store an image that holds them again, then clean up; look after the disk")
               : NULL,
         _("%u damaged slices were set aside"), n);
}

/* ---- the way ---------------------------------------------------------------------------- */

typedef enum {
    NEEDS_NOTHING,
    NEEDS_SERVER,
    NEEDS_DIRECTORY,
    NEEDS_STORE,
    NEEDS_FILES,
} Needs;

typedef enum {
    HERE = 1 << 0,
    ELSEWHERE = 1 << 1,
    ANYWHERE = HERE | ELSEWHERE,
} Where;

static const struct {
    const char *name;
    Where where; /* the store is */
    Needs needs;
    void (*look)(VimgDiagnosis *diagnosis);
} steps[] = {
    {"way", ELSEWHERE, NEEDS_NOTHING, vimg_diagnose_way},
    {"server", ELSEWHERE, NEEDS_SERVER, vimg_diagnose_server},
    {"directory", ANYWHERE, NEEDS_SERVER, look_at_directory},
    {"filesystem", HERE, NEEDS_DIRECTORY, vimg_diagnose_mount},
    {"store", ANYWHERE, NEEDS_DIRECTORY, look_at_store},
    {"space", ANYWHERE, NEEDS_DIRECTORY, look_at_space},
    {"files", ANYWHERE, NEEDS_STORE, vimg_diagnose_files},
    {"latency", ANYWHERE, NEEDS_FILES, look_at_latency},
    {"clock", ANYWHERE, NEEDS_FILES, look_at_clock},
    {"leases", ANYWHERE, NEEDS_STORE, look_at_leases},
    {"images", ANYWHERE, NEEDS_STORE, look_at_images},
    {"leftovers", ANYWHERE, NEEDS_STORE, look_at_leftovers},
    {"damage", ANYWHERE, NEEDS_STORE, look_at_damage},
};

static gboolean
has(const VimgDiagnosis *diagnosis, Needs needs)
{
    const gboolean found[] = {
        [NEEDS_NOTHING] = TRUE,
        [NEEDS_SERVER] = diagnosis->transport != NULL,
        [NEEDS_DIRECTORY] = diagnosis->reached,
        [NEEDS_STORE] = diagnosis->store != NULL,
        [NEEDS_FILES] = diagnosis->written,
    };

    return found[needs];
}

static void
take_step(VimgDiagnosis *diagnosis, gsize i)
{
    diagnosis->step = steps[i].name;
    vimg_slice_store_progress(diagnosis->job, steps[i].name, 0, 0);
    if (has(diagnosis, steps[i].needs))
        steps[i].look(diagnosis);
    else
        tell(diagnosis, VIMG_STEP_SKIPPED, NULL, "%s",
             _("not tried: an earlier step must be right first"));
}

void
vimg_diagnose_step(VimgDiagnosis *diagnosis, const char *name)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(steps); i++)
        if (strcmp(steps[i].name, name) == 0)
            take_step(diagnosis, i);
}

gboolean
vimg_diagnose(const VimgPluginPool *pool, VimgStepSink sink, gpointer data, VimgPluginJob *job,
              GError **error)
{
    Where where = vimg_remote_is(pool) ? ELSEWHERE : HERE;
    VimgDiagnosis diagnosis = {
        .pool = pool, .sink = sink, .data = data, .job = job, .where = vimg_remote_where(pool)};
    VimgPluginJob *before = vimg_transport_haste(job);
    gsize i;

    if (where == HERE)
        diagnosis.transport = vimg_transport_local_new(pool->dir);
    for (i = 0; i < G_N_ELEMENTS(steps) && vimg_slice_store_check_job(job, error); i++) {
        if (steps[i].where & where)
            take_step(&diagnosis, i);
    }
    vimg_slice_store_free(diagnosis.store);
    vimg_transport_free(diagnosis.transport);
    g_free(diagnosis.where);
    vimg_transport_haste(before);
    return i == G_N_ELEMENTS(steps) && vimg_slice_store_check_job(job, error);
}
