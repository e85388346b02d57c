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

#include "image/inspect.h"
#include "pool/copy.h"
#include "pool/model-private.h"
#include "util/log.h"

#define KIND "adopt"

typedef struct {
    char *name;
    char *origin;
    guint64 length;
} File;

static void
file_free(gpointer data)
{
    File *file = data;

    g_free(file->name);
    g_free(file->origin);
    g_free(file);
}

/* ---- is it an image? -------------------------------------------------------------------- */

/* Content that says nothing of itself at its start is one only under a name that does. */
static const char *const plain_names[] = {".img", ".raw", ".bin", ".dd", NULL};
static const char *const late_names[] = {".iso", ".vhd", ".vpc", NULL};

static gboolean
is_named(const File *file, const char *const *suffixes)
{
    g_autofree char *lower = g_ascii_strdown(file->name, -1);

    for (; *suffixes; suffixes++) {
        if (g_str_has_suffix(lower, *suffixes))
            return TRUE;
    }
    return FALSE;
}

/* From its first bytes, so that no text is stored only to be found out. */
static gboolean
look_at(VimgSession *session, VimgJob *job, const File *file, GError **error)
{
    g_autoptr(VimgReader) reader =
        vimg_reader_open_file(vimg_session_store(session), file->origin, file->name, 0, job, error);
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    guint64 seen = 0;

    while (reader && seen < VIMG_INSPECT_HEAD) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (!vimg_reader_next(reader, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            break;
        vimg_inspector_feed(inspector, data ? data->data + extent.offset : NULL, extent.length);
        seen += extent.length;
    }
    if (!reader)
        return FALSE;
    if (strcmp(vimg_inspector_sniff(inspector), "raw") != 0 || is_named(file, plain_names) ||
        is_named(file, late_names))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_PROBE, "it does not look like an image");
}

static gboolean
check_raw(const File *file, const VimgPluginImage *image, GError **error)
{
    if (strcmp(image->format, "raw") != 0 ||
        (is_named(file, plain_names) && file->length % 512 == 0))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_PROBE,
                      "its content is raw, but its name or its size is not that of a disk");
}

/* ---- whose is it? ----------------------------------------------------------------------- */

/* With the pool's lock held. */
static VimgVolume *
find_origin(VimgPool *pool, const char *origin)
{
    GHashTableIter iter;
    gpointer volume;

    g_hash_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &volume)) {
        if (g_strcmp0(((VimgVolume *)volume)->image.origin, origin) == 0)
            return volume;
    }
    return NULL;
}

/* Returns: whether there is an image of it; *@half: (transfer full) its name if it is unfinished.
 */
static gboolean
has_image(VimgPool *pool, const File *file, char **half)
{
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&pool->lock);
    volume = find_origin(pool, file->origin);
    if (volume && volume->image.state == VIMG_IMAGE_SAVING)
        *half = g_strdup(volume->image.name);
    return volume != NULL;
}

/* Whether what has its name is the unfinished image of a file that was there before it. */
static gboolean
is_stale(VimgPool *pool, const File *file)
{
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&pool->lock);
    volume = vimg_cache_find(pool, file->name);
    return volume && volume->image.state == VIMG_IMAGE_SAVING && volume->image.origin;
}

static gboolean
drop_stale(VimgPool *pool, const File *file, GError **error)
{
    VimgVolId vol = {.pool = pool->name, .name = file->name};
    g_auto(VimgUse) use = {0};
    g_autofree char *uuid = NULL;

    if (!is_stale(pool, file))
        return TRUE;
    if (!vimg_use_volume(pool->model, &vol, VIMG_ACTION_DELETE, KIND, &use, error))
        return FALSE;
    uuid = vimg_use_uuid(&use);
    vimg_use_discard(&use, uuid);
    return TRUE;
}

static gboolean
make_image(VimgPool *pool, const File *file, VimgUse *use, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    if (!drop_stale(pool, file, error) || !vimg_use_create(pool, file->name, KIND, use, error))
        return FALSE;
    image.uuid = g_uuid_string_random();
    image.name = g_strdup(file->name);
    image.origin = g_strdup(file->origin);
    image.capacity = file->length;
    image.created = g_get_real_time() / G_USEC_PER_SEC;
    if (!vimg_store_create(vimg_session_store(use->session), &image, &out, error))
        return FALSE;
    vimg_use_created(use, &out, KIND);
    return TRUE;
}

static gboolean
take_up(VimgPool *pool, char *half, VimgUse *use, GError **error)
{
    VimgVolId vol = {.pool = pool->name, .name = half};

    return vimg_use_volume(pool->model, &vol, VIMG_ACTION_UPLOAD, KIND, use, error);
}

/* ---- one file --------------------------------------------------------------------------- */

/* From the first byte: what an earlier attempt stored is compared and not stored again. */
static gboolean
copy_file(VimgUse *use, VimgJob *job, const File *file, VimgWriter *writer, VimgPluginImage *image,
          GError **error)
{
    VimgStore *store = vimg_session_store(use->session);
    g_auto(VimgPluginImage) declared = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(VimgReader) reader = NULL;
    g_autoptr(VimgIntake) intake = NULL;

    vimg_use_image(use, &declared);
    vimg_image_copy(image, &declared);
    reader = vimg_reader_open_file(store, file->origin, file->name, 0, job, error);
    intake = reader ? vimg_intake_new(&declared, writer, job, 0, TRUE, error) : NULL;
    return intake && vimg_copy_extents(reader, intake, job, use->job, error) &&
           vimg_intake_judge(intake, vimg_store_type(store), image, error) &&
           check_raw(file, image, error) && vimg_intake_pad(intake, image, error);
}

static gboolean
fill_image(VimgUse *use, VimgJob *job, const File *file, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autofree char *uuid = vimg_use_uuid(use);
    VimgWriter *writer =
        vimg_writer_open(vimg_session_store(use->session), uuid, &request, job, error);

    if (!writer)
        return FALSE;
    vimg_job_progress(use->job, KIND, 0, file->length);
    if (!copy_file(use, job, file, writer, &image, error)) {
        vimg_writer_abort(writer);
        return FALSE;
    }
    if (!vimg_writer_finish(writer, TRUE, &image, &out, error))
        return FALSE;
    vimg_use_changed(use, &out);
    return TRUE;
}

static gboolean
is_one_of(const GError *error, const VimgErrorCode *codes, gsize n)
{
    gsize i;

    for (i = 0; i < n; i++) {
        if (g_error_matches(error, VIMG_ERROR, (gint)codes[i]))
            return TRUE;
    }
    return FALSE;
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

/* What is unfinished stays only where the same may be taken up again. */
static void
give_up(VimgPool *pool, VimgUse *use, const File *file, const GError *why)
{
    static const VimgErrorCode interrupted[] = {VIMG_ERROR_ABORTED, VIMG_ERROR_DISCONNECTED,
                                                VIMG_ERROR_BUSY};
    static const VimgErrorCode for_ever[] = {VIMG_ERROR_PROBE, VIMG_ERROR_CONFIG_UNSUPPORTED,
                                             VIMG_ERROR_INVALID_ARG};

    if (use->volume && !is_one_of(why, interrupted, G_N_ELEMENTS(interrupted)))
        drop_unfinished(use);
    else if (use->volume)
        vimg_use_restat(use);
    if (g_error_matches(why, VIMG_ERROR, VIMG_ERROR_ABORTED))
        return;
    if (!g_hash_table_contains(pool->left_out, file->origin))
        vimg_warning("file '%s' is not adopted by storage pool '%s': %s", file->name, pool->name,
                     g_error_matches(why, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS)
                         ? "an image has its name, or had and was deleted"
                         : why->message);
    g_hash_table_replace(pool->left_out, g_strdup(file->origin),
                         GINT_TO_POINTER(is_one_of(why, for_ever, G_N_ELEMENTS(for_ever)) ? 1 : 0));
}

static void
adopt_file(VimgPool *pool, VimgSession *session, VimgJob *job, const File *file)
{
    g_auto(VimgUse) use = {0};
    g_autofree char *half = NULL;
    g_autoptr(GError) error = NULL;
    gboolean ok;

    if (g_hash_table_lookup(pool->left_out, file->origin) ||
        (has_image(pool, file, &half) && !half))
        return;
    ok = look_at(session, job, file, &error) &&
         (half ? take_up(pool, half, &use, &error) : make_image(pool, file, &use, &error)) &&
         fill_image(&use, job, file, &error);
    if (!ok) {
        vimg_session_failed(session, error);
        give_up(pool, &use, file, error);
        return;
    }
    vimg_info("file '%s' was adopted by storage pool '%s'", file->name, pool->name);
    vimg_session_sizes(session);
    vimg_use_clear(&use);
    vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_REFRESH, 0);
}

/* ---- all of them ------------------------------------------------------------------------ */

static gboolean
collect(const VimgPluginFile *listed, gpointer data)
{
    GPtrArray *files = data;
    File *file = g_new0(File, 1);

    file->name = g_strdup(listed->name);
    file->origin = g_strdup(listed->origin);
    file->length = listed->length;
    g_ptr_array_add(files, file);
    return files->len < VIMG_POOL_MAX_VOLUMES;
}

/* What is known of files that are gone, or others now, is forgotten. */
static void
prune_left_out(VimgPool *pool, GPtrArray *files)
{
    GHashTable *kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    gpointer value;
    guint i;

    for (i = 0; pool->left_out && i < files->len; i++) {
        const File *file = g_ptr_array_index(files, i);

        if (g_hash_table_lookup_extended(pool->left_out, file->origin, NULL, &value))
            g_hash_table_insert(kept, g_strdup(file->origin), value);
    }
    g_clear_pointer(&pool->left_out, g_hash_table_unref);
    pool->left_out = kept;
}

static void
look_round(VimgPool *pool, VimgJob *job)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_free);
    g_auto(VimgUse) use = {0};
    g_autoptr(GError) error = NULL;
    guint64 total = 0;
    guint i;

    if (!vimg_use_pool(pool, &use, NULL)) /* whoever makes it usable again calls again */
        return;
    if (!vimg_store_list_files(vimg_session_store(use.session), collect, files, job, &error)) {
        vimg_warning("storage pool '%s' cannot look for images to adopt: %s", pool->name,
                     error->message);
        vimg_use_failed(&use, error);
        return;
    }
    prune_left_out(pool, files);
    for (i = 0; i < files->len; i++)
        total += ((File *)g_ptr_array_index(files, i))->length;
    vimg_job_progress(job, KIND, 0, total);
    for (i = 0; i < files->len && !vimg_job_cancelled(job); i++)
        adopt_file(pool, use.session, job, g_ptr_array_index(files, i));
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
    pool->adopting = vimg_job_begin(pool->model->jobs, KIND, pool->name, NULL, 0);
}

static void
end(VimgPool *pool)
{
    vimg_job_end(g_steal_pointer(&pool->adopting));
    vimg_cond_broadcast(&pool->changed);
}

/* Returns: the next round's job, or NULL. */
static VimgJob *
next_round(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    end(pool);
    if (pool->adopt_again && is_wanted(pool))
        begin(pool);
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
    vimg_warning("storage pool '%s' adopts nothing: %s", pool->name, error->message);
    end(pool);
    vimg_model_release(pool->model);
    vimg_pool_unref(pool); /* not the last one */
}

void
vimg_adopt_stop(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    if (pool->adopting)
        vimg_job_cancel(pool->adopting);
    while (pool->adopting)
        vimg_cond_wait(&pool->changed, &pool->lock);
}
