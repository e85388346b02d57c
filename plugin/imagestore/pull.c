/*
 * pull.c: an image of another store
 *
 * Both sides have a lease first: what the source has stays until it was read, and what is found
 * here stays until the index names it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "damage.h"
#include "haul.h"
#include "image.h"
#include "parent.h"
#include "publish.h"
#include "reach.h"
#include "pull.h"
#include "reader.h"
#include "scrub.h"
#include "../throw.h"
#include "writing.h"

typedef struct {
    VimgSliceStore *store;
    VimgSliceStore *source;
    const char *uuid;
    const char *from;
    VimgPluginJob *job;
    const VimgPullRequest *request;
    VimgTransport *in;     /* to the data of the source: its own, or one for the network... */
    VimgTransport *own_in; /* ...which ends with this unless the source keeps it */
    VimgTransport *out;    /* the same of the destination */
    VimgTransport *own_out;
    VimgLease *reading; /* at the source; NULL: it cannot be written */
    VimgLease *lease;
    VimgManifest *original; /* of the source */
    VimgIndex *index;       /* of it */
    VimgStoredImage image;  /* as it is here */
    guint64 sent;
} Pull;

static void
pull_clear(Pull *pull)
{
    vimg_stored_image_clear(&pull->image);
    vimg_index_free(pull->index);
    vimg_manifest_free(pull->original);
    vimg_lease_free(pull->lease);
    vimg_lease_free(pull->reading);
    vimg_transport_free(pull->own_in);
    vimg_transport_free(pull->own_out);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pull, pull_clear)

/* ---- are they the same? ----------------------------------------------------------------- */

static gboolean
check_alike(const VimgSliceStore *store, const VimgSliceStore *source, GError **error)
{
    return store->slice_size == source->slice_size ||
           throw_error(error, VIMG_ERROR_NO_SUPPORT, _("the two stores cut images differently"));
}

/* The index is what it is by content, format and slicer alone. */
static gboolean
are_same(const VimgManifest *a, const VimgManifest *b)
{
    return a->sealed && b->sealed && a->sealed_length == b->sealed_length &&
           a->sealed_capacity == b->sealed_capacity &&
           g_strcmp0(a->sealed_format, b->sealed_format) == 0 && a->index_digest &&
           g_strcmp0(a->index_digest, b->index_digest) == 0;
}

static gboolean
throw_incomplete(GError **error)
{
    return throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("the image is not complete yet"));
}

gboolean
vimg_pull_same(VimgSliceStore *store, const char *uuid, VimgSliceStore *source, const char *from,
               gboolean *same, GError **error)
{
    g_auto(VimgStoredImage) here = {0};
    g_auto(VimgStoredImage) there = {0};

    if (!check_alike(store, source, error) || !vimg_image_load(store, uuid, &here, error) ||
        !vimg_image_load(source, from, &there, error))
        return FALSE;
    if (!here.published || !there.published)
        return throw_incomplete(error);
    *same = are_same(here.manifest, there.manifest);
    return TRUE;
}

/* ---- damage at the source --------------------------------------------------------------- */

/* As a verification does: what is bad is set aside, and the image says what it lacks. */
static void
mark_source(Pull *pull, const GArray *bad)
{
    VimgScrubSums sums = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgScrub) scrub = vimg_scrub_new(pull->source, NULL, &sums, &error);
    g_auto(VimgDamage) damage = {0};

    if (scrub && vimg_scrub_run(scrub, bad, 0, &error) &&
        vimg_damage_find(pull->source, pull->index, pull->reading, vimg_scrub_left(scrub), NULL,
                         NULL, &damage, &error) &&
        (damage.count == 0 || vimg_damage_write(pull->source, pull->from, &damage, &error)))
        return;
    vimg_slice_store_log(VIMG_LOG_WARNING, "damaged image %s is not marked: %s", pull->from,
                         error->message);
}

/* ---- the data --------------------------------------------------------------------------- */

static gboolean
haul_slices(Pull *pull, gboolean saving, GError **error)
{
    const VimgHaulStart start = {
        .source = pull->source,
        .in = pull->in,
        .lease = pull->lease,
        .out = pull->out,
        .index = pull->index,
        .uuid = saving ? pull->uuid : NULL,
        .durable = pull->image.durable,
        .rate = pull->request->bandwidth,
        .job = pull->job,
    };
    g_autoptr(VimgHaul) haul = vimg_haul_new(&start, error);
    gboolean good = haul && vimg_haul_run(haul, error);

    if (haul)
        pull->sent = vimg_haul_sent(haul);
    if (!good && haul && vimg_haul_bad(haul)->len > 0) {
        if (!pull->source->read_only)
            mark_source(pull, vimg_haul_bad(haul));
        g_prefix_error(error, "%s: ", _("the source cannot be copied"));
    }
    return good;
}

/* So that the next attempt finds it all here. */
static void
keep_slices(Pull *pull)
{
    guint64 allocation;

    if (vimg_index_length(pull->index) > pull->image.durable &&
        vimg_publish_check(pull->store, pull->index, NULL, &allocation, NULL))
        vimg_publish_partial(pull->lease, pull->uuid, pull->index, 0, NULL);
}

static gboolean
load_saving(Pull *pull, GError **error)
{
    const VimgManifest *manifest;

    vimg_stored_image_clear(&pull->image);
    if (!vimg_image_load(pull->store, pull->uuid, &pull->image, error))
        return FALSE;
    manifest = pull->image.manifest;
    if (pull->image.published)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("another host made the image active meanwhile"));
    if (manifest->image.reason)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID, "%s", manifest->image.reason);
    return TRUE;
}

/* Whether who asked for it takes it: what is read then is what the index names afterwards. */
static gboolean
judge(Pull *pull, GError **error)
{
    const VimgPullRequest *request = pull->request;
    const VimgPluginImage image = {
        .size = sizeof(image),
        .uuid = (char *)pull->uuid,
        .format = pull->original->sealed_format,
        .capacity = pull->original->sealed_capacity,
        .physical = vimg_index_length(pull->index),
    };

    return !VIMG_PULL_REQUEST_HAS(request, judge_data) || !request->judge ||
           request->judge(pull, &image, request->judge_data, error);
}

VimgSliceReader *
vimg_pulled_open(gpointer content, guint64 offset, guint64 length, VimgPluginJob *job,
                 GError **error)
{
    const Pull *pull = content;

    return vimg_slice_reader_new(pull->store, pull->out, pull->index, offset, length, job, error);
}

static gboolean
fill_announced(Pull *pull, GError **error)
{
    VimgManifest *manifest;

    /* another host may have gone on with it until then */
    if (!load_saving(pull, error) || !haul_slices(pull, TRUE, error) ||
        !vimg_slice_store_check_job(pull->job, error))
        return FALSE;
    if (!judge(pull, error)) {
        keep_slices(pull);
        return FALSE;
    }
    manifest = pull->image.manifest;
    g_free(manifest->sealed_format);
    manifest->sealed_format = g_strdup(pull->original->sealed_format);
    manifest->sealed_capacity = pull->original->sealed_capacity;
    if (!manifest->image.parent)
        manifest->image.parent = vimg_parent_find(pull->store, pull->index);
    vimg_slice_store_progress(pull->job, "finishing", 0, 0);
    if (vimg_publish_image(pull->lease, manifest, pull->index, pull->job, error))
        return TRUE;
    keep_slices(pull);
    return FALSE;
}

/* A saving image. */
static gboolean
fill(Pull *pull, GError **error)
{
    g_autofree char *name = g_strdup(pull->image.manifest->image.name);
    gboolean good;

    if (!vimg_writing_begin(pull->lease, pull->uuid, name, NULL, error))
        return FALSE;
    good = fill_announced(pull, error);
    vimg_writing_end(pull->lease, pull->uuid);
    return good;
}

/* One that is complete but for slices that were lost. */
static gboolean
mend(Pull *pull, GError **error)
{
    if (!are_same(pull->image.manifest, pull->original))
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("the image has another content"));
    return haul_slices(pull, FALSE, error) && vimg_publish_sync(pull->store, pull->index, error);
}

/* ---- all of it -------------------------------------------------------------------------- */

/* Over which connections data passes: over those of @network, where a store is far away. */
static gboolean
find_way(VimgSliceStore *store, const char *network, VimgTransport **way, VimgTransport **owned,
         GError **error)
{
    if (network && store->link)
        *way = vimg_reach_via(store->link, network, owned, error);
    else
        *way = store->transport;
    return *way != NULL;
}

static gboolean
begin(Pull *pull, const char *network, GError **error)
{
    if (!vimg_slice_store_check_job(pull->job, error) ||
        !check_alike(pull->store, pull->source, error) ||
        !vimg_slice_store_need_writable(pull->store, error) ||
        !find_way(pull->source, network, &pull->in, &pull->own_in, error) ||
        !find_way(pull->store, network, &pull->out, &pull->own_out, error) ||
        !vimg_slice_reader_lease(pull->source, &pull->reading, error))
        return FALSE;
    pull->index = vimg_slice_reader_index(pull->source, pull->from, &pull->original, error);
    if (!pull->index)
        return FALSE;
    if (!pull->original->sealed)
        return throw_error(error, VIMG_ERROR_DAMAGED, _("the manifest lacks a member"));
    pull->lease = vimg_lease_new(pull->store, error);
    return pull->lease && vimg_image_load(pull->store, pull->uuid, &pull->image, error);
}

gboolean
vimg_pull(VimgSliceStore *store, const char *uuid, VimgSliceStore *source, const char *from,
          const VimgPullRequest *request, VimgPluginJob *job, guint64 *sent, VimgPluginImage *out,
          GError **error)
{
    g_auto(Pull) pull = {.store = store,
                         .source = source,
                         .uuid = uuid,
                         .from = from,
                         .request = request,
                         .job = job};
    gboolean good;

    *sent = 0;
    if (!begin(&pull, request->sync_network, error))
        return FALSE;
    good = pull.image.published ? mend(&pull, error) : fill(&pull, error);
    *sent = pull.sent;
    if (!good)
        return vimg_lease_blame(pull.lease, error);
    return vimg_image_stat(store, uuid, out, error) &&
           (out->state != VIMG_IMAGE_ERROR ||
            throw_error(error, VIMG_ERROR_DAMAGED, "%s", out->reason));
}
