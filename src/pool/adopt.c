/*
 * adopt.c: images of plain files that lie where the storage of a pool is
 *
 * A file is looked at, becomes an image like any upload and stays where it is.  What ends in the
 * middle (a stopped pool, a killed daemon) leaves an image that is saving and knows its origin,
 * which the next look round takes up again.  Who else is at it, or was, the backend knows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/adopt-look.h"
#include "pool/copy.h"
#include "pool/model-private.h"
#include "util/error.h"
#include "util/i18n.h"
#include "util/log.h"

/* For what is at it to end: with a job that takes a second, without one it is a hung storage. */
#define PATIENCE (10 * G_USEC_PER_SEC)

/* One look round all files. */
typedef struct {
    VimgPool *pool;
    VimgSession *session; /* that it began on */
    VimgJob *job;         /* for all its files: whoever cancels it ends what is under way */
    GHashTable *origins;  /* char * -> char *: uuid of the image made of it */
    GPtrArray *files;     /* of VimgAdoptFile */
    GPtrArray *contested; /* of those, borrowed: another host may have been faster */
    guint64 available;    /* bytes in the storage when it began */
    guint64 done, total;  /* bytes of files */
    gboolean more;        /* there were too many */
    gboolean lost;        /* the storage, so that nothing else will do */
} Round;

/* Why a file need not be looked at again. */
typedef struct {
    gboolean for_ever;
    gboolean full;     /* there was no room for it */
    guint64 available; /* bytes, then */
    gboolean listed;   /* it still lies there */
} Refusal;

/* ---- whose is it? ----------------------------------------------------------------------- */

static void
find_origins(Round *round)
{
    GHashTableIter iter;
    gpointer value;

    VIMG_LOCK_GUARD(&round->pool->lock);
    g_hash_table_iter_init(&iter, round->pool->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgPluginImage *image = &((VimgVolume *)value)->image;

        if (image->origin)
            g_hash_table_insert(round->origins, g_strdup(image->origin), g_strdup(image->uuid));
    }
}

/* The image of that origin, with the pool's lock held; NULL: none. */
static VimgVolume *
find_image(Round *round, const char *origin)
{
    const char *uuid = g_hash_table_lookup(round->origins, origin);

    return uuid ? g_hash_table_lookup(round->pool->by_image, uuid) : NULL;
}

static gboolean
is_unfinished(const VimgVolume *volume)
{
    return volume->image.state == VIMG_IMAGE_SAVING && volume->image.origin;
}

/* It may be replaced by another of its name while no one holds it: its key tells. */
static void
name_volume(VimgPool *pool, const VimgVolume *volume, VimgVolId *out)
{
    out->pool = g_strdup(vimg_pool_name(pool));
    out->name = g_strdup(volume->image.name);
    out->key = g_strdup(volume->key);
}

/* Returns: whether there is an image of it; @half: (transfer full) which, if it is unfinished. */
static gboolean
has_image(Round *round, const char *origin, VimgVolId *half)
{
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&round->pool->lock);
    volume = find_image(round, origin);
    if (volume && half && is_unfinished(volume))
        name_volume(round->pool, volume, half);
    return volume != NULL;
}

/* Returns: whether its name is taken by an image that stays, and is not its own. */
static gboolean
is_taken(VimgPool *pool, const VimgAdoptFile *file)
{
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&pool->lock);
    volume = vimg_cache_find(pool, file->name);
    return volume && !is_unfinished(volume) && g_strcmp0(volume->image.origin, file->origin) != 0;
}

/*
 * Whether what has its name is the unfinished image of a file that was there before it; one of the
 * same file another host has just begun.
 */
static gboolean
find_stale(VimgPool *pool, const VimgAdoptFile *file, VimgVolId *out)
{
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&pool->lock);
    volume = vimg_cache_find(pool, file->name);
    if (!volume || !is_unfinished(volume) || strcmp(volume->image.origin, file->origin) == 0)
        return FALSE;
    name_volume(pool, volume, out);
    return TRUE;
}

/* ---- its image -------------------------------------------------------------------------- */

static gboolean
hold(VimgPool *pool, const VimgVolId *vol, VimgAction action, VimgUse *use, GError **error)
{
    use->jobless = TRUE; /* all files have the job of their round */
    return vimg_use_volume_of(pool, vol, action, VIMG_ADOPT_KIND, use, error);
}

/* One that another host completed meanwhile is a good one. */
static void
drop_unfinished(VimgUse *use)
{
    g_auto(VimgPluginImage) now = VIMG_PLUGIN_IMAGE_INIT;

    vimg_use_restat(use);
    vimg_use_image(use, &now);
    if (now.state == VIMG_IMAGE_SAVING)
        vimg_use_discard(use, now.uuid);
}

/* Whether another host has made the image of it meanwhile. */
static gboolean
is_done(VimgPool *pool, const VimgAdoptFile *file)
{
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&pool->lock);
    volume = vimg_cache_find(pool, file->name);
    return volume && volume->image.state == VIMG_IMAGE_ACTIVE &&
           g_strcmp0(volume->image.origin, file->origin) == 0;
}

static gboolean
drop_stale(VimgPool *pool, const VimgAdoptFile *file, GError **error)
{
    g_auto(VimgVolId) stale = {0};
    g_auto(VimgUse) use = {0};

    if (!find_stale(pool, file, &stale))
        return TRUE;
    if (!hold(pool, &stale, VIMG_ACTION_DELETE, &use, error))
        return FALSE;
    drop_unfinished(&use);
    return TRUE;
}

static gboolean
make_image(VimgPool *pool, const VimgAdoptFile *file, VimgUse *use, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    use->jobless = TRUE; /* as all that hold() takes */
    if (!drop_stale(pool, file, error) ||
        !vimg_use_create(pool, file->name, VIMG_ADOPT_KIND, use, error))
        return FALSE;
    image.uuid = g_uuid_string_random();
    image.name = g_strdup(file->name);
    image.origin = g_strdup(file->origin);
    image.capacity = file->length;
    image.created = g_get_real_time() / G_USEC_PER_SEC;
    if (!vimg_store_create(vimg_session_store(use->session), &image, &out, error))
        return FALSE;
    vimg_use_created(use, &out, VIMG_ADOPT_KIND);
    return TRUE;
}

/* From the first byte: what an earlier attempt stored is compared and not stored again. */
static gboolean
copy_file(VimgUse *use, VimgJob *job, const VimgAdoptFile *file, VimgWriter *writer,
          VimgPluginImage *image, GError **error)
{
    VimgStore *store = vimg_session_store(use->session);
    g_auto(VimgPluginImage) declared = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(VimgReader) reader = NULL;
    g_autoptr(VimgIntake) intake = NULL;

    vimg_use_image(use, &declared);
    vimg_image_copy(image, &declared);
    reader = vimg_reader_open_file(store, file->origin, file->name, 0, job, error);
    intake = reader ? vimg_intake_new(&declared, writer, job, 0, TRUE, error) : NULL;
    return intake && vimg_copy_extents(reader, intake, job, job, 0, error) &&
           vimg_intake_judge(intake, vimg_store_type(store), image, error) &&
           vimg_adopt_check(file, image->format, error) && vimg_intake_pad(intake, image, error);
}

static gboolean
fill_image(VimgUse *use, VimgJob *job, const VimgAdoptFile *file, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    VimgWriteRequest request = {.size = sizeof(request), .reserve = file->allocation};
    g_autofree char *uuid = vimg_use_uuid(use);
    VimgWriter *writer =
        vimg_writer_open(vimg_session_store(use->session), uuid, &request, job, error);

    if (!writer)
        return FALSE;
    if (!copy_file(use, job, file, writer, &image, error)) {
        vimg_writer_abort(writer);
        return FALSE;
    }
    if (!vimg_writer_finish(writer, TRUE, &image, &out, error))
        return FALSE;
    vimg_use_changed(use, &out);
    return TRUE;
}

/* ---- what is left out ------------------------------------------------------------------- */

/* Whether nothing has changed since that could help. */
static gboolean
is_refused(Round *round, const char *origin)
{
    Refusal *refusal = g_hash_table_lookup(round->pool->left_out, origin);

    if (!refusal)
        return FALSE;
    refusal->listed = TRUE;
    return refusal->for_ever || (refusal->full && round->available <= refusal->available);
}

/* What is known of files that are gone, or others now, is forgotten. */
static gboolean
forget_unlisted(gpointer key, gpointer value, gpointer data)
{
    Refusal *refusal = value;
    gboolean gone = !refusal->listed;

    refusal->listed = FALSE;
    return gone;
}

static guint64
available(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return pool->sizes.available;
}

/* Logged once: what is tried again may be refused again. */
static void
refuse(VimgPool *pool, VimgSession *session, const VimgAdoptFile *file, const GError *why)
{
    Refusal *refusal = g_new0(Refusal, 1);

    if (!g_hash_table_contains(pool->left_out, file->origin))
        vimg_warning("file '%s' is not adopted by storage pool '%s': %s", file->name,
                     vimg_pool_name(pool),
                     vimg_error_is(why, VIMG_ERROR_VOL_EXISTS)
                         ? "an image has its name, or had and was deleted"
                         : why->message);
    refusal->for_ever = vimg_error_is(why, VIMG_ERROR_PROBE) ||
                        vimg_error_is(why, VIMG_ERROR_CONFIG_UNSUPPORTED) ||
                        vimg_error_is(why, VIMG_ERROR_INVALID_ARG);
    refusal->full = vimg_error_is(why, VIMG_ERROR_NO_SPACE);
    if (refusal->full) {
        vimg_session_sizes(session);
        refusal->available = available(pool);
    }
    g_hash_table_replace(pool->left_out, g_strdup(file->origin), refusal);
}

/* What is unfinished stays only where the same may be taken up again. */
static void
leave_image(VimgUse *use, const GError *why)
{
    if (!use->volume || vimg_error_is(why, VIMG_ERROR_DISCONNECTED))
        return;
    if (vimg_error_is(why, VIMG_ERROR_ABORTED) || vimg_error_is(why, VIMG_ERROR_BUSY))
        vimg_use_restat(use);
    else
        drop_unfinished(use);
}

static void
give_up(Round *round, VimgUse *use, VimgAdoptFile *file, const GError *why)
{
    VimgSession *session = use->session ? use->session : round->session;

    vimg_session_failed(session, why);
    if (vimg_error_is(why, VIMG_ERROR_DISCONNECTED) || vimg_error_is(why, VIMG_ERROR_ABORTED))
        vimg_job_fail(round->job, why);
    leave_image(use, why);
    if (vimg_error_is(why, VIMG_ERROR_DISCONNECTED))
        round->lost = TRUE;
    else if (is_done(round->pool, file))
        return;
    else if (vimg_error_is(why, VIMG_ERROR_VOL_EXISTS) && !is_taken(round->pool, file))
        g_ptr_array_add(round->contested, file);
    else if (!vimg_error_is(why, VIMG_ERROR_ABORTED))
        refuse(round->pool, session, file, why);
}

/* ---- one file --------------------------------------------------------------------------- */

static gboolean
adopt(Round *round, const VimgAdoptFile *file, const VimgVolId *half, VimgUse *use, GError **error)
{
    VimgPool *pool = round->pool;

    if (!half->key && is_taken(pool, file))
        return vimg_throw(error, VIMG_ERROR_VOL_EXISTS, "'%s'", file->name);
    return vimg_adopt_look(vimg_session_store(round->session), file, round->job, error) &&
           (half->key ? hold(pool, half, VIMG_ACTION_UPLOAD, use, error)
                      : make_image(pool, file, use, error)) &&
           fill_image(use, round->job, file, error);
}

static void
adopt_file(Round *round, VimgAdoptFile *file)
{
    VimgPool *pool = round->pool;
    g_auto(VimgVolId) half = {0};
    g_auto(VimgUse) use = {0};
    g_autoptr(GError) error = NULL;

    if (has_image(round, file->origin, &half) && !half.key)
        return;
    if (!adopt(round, file, &half, &use, &error)) {
        give_up(round, &use, file, error);
        return;
    }
    vimg_info("file '%s' was adopted by storage pool '%s'", file->name, vimg_pool_name(pool));
    vimg_session_sizes(use.session);
    vimg_use_clear(&use);
    vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_REFRESH, 0);
}

/* ---- all of them ------------------------------------------------------------------------ */

static gboolean
collect(const VimgPluginFile *listed, gpointer data)
{
    Round *round = data;
    g_auto(VimgVolId) half = {0};

    if (is_refused(round, listed->origin) || (has_image(round, listed->origin, &half) && !half.key))
        return TRUE;
    if (round->files->len >= VIMG_POOL_MAX_VOLUMES) {
        round->more = TRUE;
        return FALSE;
    }
    g_ptr_array_add(round->files, vimg_adopt_file_new(listed));
    round->total += listed->length;
    return TRUE;
}

static gboolean
list(Round *round)
{
    VimgPool *pool = round->pool;
    g_autoptr(GError) error = NULL;

    if (!pool->left_out)
        pool->left_out = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    round->available = available(pool);
    find_origins(round);
    if (!vimg_store_list_files(vimg_session_store(round->session), collect, round, round->job,
                               &error)) {
        vimg_session_failed(round->session, error);
        vimg_job_fail(round->job, error);
        if (!vimg_error_is(error, VIMG_ERROR_ABORTED))
            vimg_warning("storage pool '%s' cannot look for images to adopt: %s",
                         vimg_pool_name(pool), error->message);
        return FALSE;
    }
    if (round->more)
        vimg_warning("storage pool '%s' looks at %d files to adopt; the others have to wait",
                     vimg_pool_name(pool), VIMG_POOL_MAX_VOLUMES);
    else
        g_hash_table_foreach_remove(pool->left_out, forget_unlisted, NULL);
    return TRUE;
}

/* That another host was faster is as it should be; only a listing tells. */
static void
settle_contested(Round *round)
{
    VimgPool *pool = round->pool;
    g_autoptr(GError) taken = g_error_new_literal(VIMG_ERROR, VIMG_ERROR_VOL_EXISTS, "");
    g_autoptr(GError) error = NULL;
    guint i;

    if (round->contested->len == 0 || round->lost || vimg_job_cancelled(round->job))
        return;
    if (!vimg_cache_refresh(pool, round->session, &error)) {
        vimg_session_failed(round->session, error);
        return;
    }
    find_origins(round);
    for (i = 0; i < round->contested->len; i++) {
        const VimgAdoptFile *file = g_ptr_array_index(round->contested, i);

        if (!has_image(round, file->origin, NULL))
            refuse(pool, round->session, file, taken);
    }
    vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_REFRESH, 0);
}

static void
look_round(VimgPool *pool, VimgJob *job)
{
    g_autoptr(GHashTable) origins = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GPtrArray) files =
        g_ptr_array_new_with_free_func((GDestroyNotify)vimg_adopt_file_free);
    g_autoptr(GPtrArray) contested = g_ptr_array_new();
    Round round = {
        .pool = pool, .job = job, .origins = origins, .files = files, .contested = contested};
    g_auto(VimgUse) use = {0};
    guint i;

    if (!vimg_use_pool(pool, &use, NULL)) /* whoever makes it usable again calls again */
        return;
    round.session = use.session;
    if (!list(&round))
        return;
    for (i = 0; i < files->len && !round.lost && !vimg_job_cancelled(job); i++) {
        VimgAdoptFile *file = g_ptr_array_index(files, i);

        vimg_job_turn_to(job, file->name);
        vimg_job_progress(job, "adopting", round.done, round.total);
        adopt_file(&round, file);
        round.done += file->length;
    }
    vimg_job_turn_to(job, NULL);
    settle_contested(&round);
}

/* ---- when ------------------------------------------------------------------------------- */

/* With the pool's lock held, as the next two. */
static gboolean
is_wanted(VimgPool *pool)
{
    return pool->active && pool->busy != VIMG_POOL_STOPPING && pool->def->retrieve_existing &&
           !pool->def->disabled && !pool->read_only && pool->status == VIMG_POOL_CONNECTED &&
           pool->session && vimg_type_can_adopt(vimg_store_type(vimg_session_store(pool->session)));
}

static void
begin(VimgPool *pool)
{
    pool->adopt_again = FALSE;
    pool->adopting =
        vimg_job_begin(pool->model->jobs, VIMG_ADOPT_KIND, vimg_pool_name(pool), NULL, 0);
}

static void
end(VimgPool *pool, VimgJob *job)
{
    vimg_job_end(job);
    vimg_cond_broadcast(&pool->changed);
}

/*
 * Returns: the next round's job, or NULL.  It begins before the last one ends: jobs are listed
 * without the pool's lock, and who waits for there to be none must not be told so in between.
 */
static VimgJob *
next_round(VimgPool *pool)
{
    VimgJob *last;

    VIMG_LOCK_GUARD(&pool->lock);
    last = g_steal_pointer(&pool->adopting);
    if (pool->adopt_again && is_wanted(pool))
        begin(pool);
    end(pool, last);
    return pool->adopting;
}

static void
adopt_main(gpointer data)
{
    VimgPool *pool = data; /* a reference */
    VimgModel *model = pool->model;
    VimgJob *job;

    vimg_mutex_lock(&pool->lock);
    job = pool->adopting;
    vimg_mutex_unlock(&pool->lock);
    do
        look_round(pool, job);
    while ((job = next_round(pool)));
    vimg_pool_unref(pool);
    vimg_model_release(model);
}

void
vimg_adopt_kick(VimgPool *pool)
{
    g_autoptr(GError) error = NULL;

    VIMG_LOCK_GUARD(&pool->lock);
    pool->adopt_again = is_wanted(pool);
    if (pool->adopting && !pool->adopt_again)
        vimg_job_cancel(pool->adopting);
    if (pool->adopting || !pool->adopt_again)
        return;
    begin(pool);
    vimg_model_keep(pool->model);
    if (vimg_thread_start_detached("vimg-adopt", adopt_main, vimg_pool_ref(pool), &error))
        return;
    vimg_warning("storage pool '%s' adopts nothing: %s", vimg_pool_name(pool), error->message);
    end(pool, g_steal_pointer(&pool->adopting));
    vimg_model_release(pool->model);
    vimg_pool_unref(pool); /* not the last one */
}

gboolean
vimg_adopt_stop(VimgPool *pool, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE;

    VIMG_LOCK_GUARD(&pool->lock);
    if (pool->adopting)
        vimg_job_cancel(pool->adopting);
    while (pool->adopting) {
        if (!vimg_cond_wait_until(&pool->changed, &pool->lock, deadline))
            return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                              _("pool '%1$s' has jobs running: %2$s"), vimg_pool_name(pool),
                              VIMG_ADOPT_KIND);
    }
    return TRUE;
}
