/*
 * opening.c: what an upload begins with
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "opening.h"
#include "pipeline.h"
#include "resume.h"
#include "sign.h"
#include "../throw.h"
#include "writing.h"

void
vimg_opening_init(VimgOpening *opening, VimgSliceStore *store, const char *uuid,
                  const VimgWriteRequest *request)
{
    *opening = (VimgOpening){.store = store,
                             .uuid = g_strdup(uuid),
                             .offset = request->offset,
                             .ahead = request->reserve,
                             .must = request->reserve > 0 && request->reserve == request->length};
    thread_must(pthread_mutex_init(&opening->lock, NULL));
    cond_init(&opening->changed);
}

void
vimg_opening_clear(VimgOpening *opening)
{
    vimg_aside_drop(&opening->aside);
    vimg_aside_drop(&opening->looking);
    vimg_aside_drop(&opening->measuring);
    vimg_stored_image_clear(&opening->known);
    vimg_stored_image_clear(&opening->image);
    vimg_index_free(opening->old);
    g_free(opening->uuid);
    g_free(opening->format);
    g_clear_error(&opening->error);
    pthread_cond_destroy(&opening->changed);
    pthread_mutex_destroy(&opening->lock);
}

/* ---- the lease --------------------------------------------------------------------------- */

static void
look(gpointer data)
{
    VimgOpening *opening = data;

    vimg_image_load(opening->store, opening->uuid, &opening->known, NULL);
}

static void
measure(gpointer data)
{
    VimgOpening *opening = data;

    vimg_lease_look_for_room(opening->store, NULL, &opening->room);
}

/* What needs no lease is far away looked at while that is made. */
static void
look_meanwhile(VimgOpening *opening)
{
    const VimgTransport *transport = opening->store->transport;

    vimg_aside_begin(&opening->looking, transport, look, opening);
    opening->measured = opening->offset == 0;
    if (opening->measured)
        vimg_aside_begin(&opening->measuring, transport, measure, opening);
}

/*
 * What the image was when it was made is what was seen of it, and if only a guess is to be
 * reserved, so is the room there was.
 */
static void
take_ready(VimgOpening *opening, VimgReady *ready)
{
    const char *format = ready->made->image.format;

    opening->lease = g_steal_pointer(&ready->lease);
    opening->room = ready->room;
    opening->measured = ready->measured && !opening->must;
    if (opening->measured && opening->offset == 0)
        opening->format = g_strdup(format);
    opening->known = (VimgStoredImage){
        .manifest = g_steal_pointer(&ready->made), .present = TRUE, .claimed = TRUE};
}

gboolean
vimg_opening_take_lease(VimgOpening *opening, GError **error)
{
    g_auto(VimgReady) ready = {0};

    if (vimg_ready_take(opening->store, opening->uuid, &ready)) {
        take_ready(opening, &ready);
        return TRUE;
    }
    if (opening->store->transport->remote)
        look_meanwhile(opening);
    opening->lease = vimg_lease_new(opening->store, error);
    return opening->lease != NULL;
}

/* ---- the image --------------------------------------------------------------------------- */

/* What was seen of the image, to be asked whether it is so still; it stays @opening's. */
static VimgSeen
recall(VimgOpening *opening)
{
    const VimgStoredImage *image = &opening->known;
    VimgSeen seen = {0};

    vimg_aside_end(&opening->looking);
    if (image->manifest && !image->published && !image->manifest->image.reason)
        seen.manifest = image->manifest;
    return seen;
}

static gboolean
load_saving(VimgOpening *opening, GError **error)
{
    const VimgStoredImage *image = &opening->image;

    if (!vimg_image_load(opening->store, opening->uuid, &opening->image, error))
        return FALSE;
    if (image->published)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the content of an active image never changes"));
    if (image->manifest->image.reason)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID, "%s",
                           image->manifest->image.reason);
    return TRUE;
}

/* Whoever goes by what was known took the first bytes for what they are no more. */
static gboolean
check_format(const VimgOpening *opening, GError **error)
{
    const VimgStoredImage *image = &opening->image;

    if (!opening->format ||
        (image->durable == 0 && g_strcmp0(opening->format, image->manifest->image.format) == 0))
        return TRUE;
    return throw_error(error, VIMG_ERROR_BUSY,
                       _("another host wrote to the image just now; try again"));
}

static gboolean
load(VimgOpening *opening, GError **error)
{
    VimgSeen seen = recall(opening);
    guint64 durable;

    if (!vimg_writing_begin(opening->lease, opening->uuid, NULL, &seen, error))
        return FALSE;
    /* only now: until then another host may have gone on with it */
    if (seen.still) {
        opening->image = opening->known;
        opening->known = (VimgStoredImage){0};
        opening->image.durable = seen.durable;
    } else if (!load_saving(opening, error)) {
        vimg_writing_end(opening->lease, opening->uuid);
        return FALSE;
    }
    opening->announced = TRUE;
    if (!check_format(opening, error))
        return FALSE;
    /* without a partial index there is nothing to be looked for */
    if (opening->image.durable > 0 &&
        !vimg_resume_load(opening->store, opening->uuid, opening->image.manifest->image.format,
                          &opening->old, &opening->cut, error))
        return FALSE;
    durable = opening->old ? vimg_index_length(opening->old) : 0;
    if (opening->offset > durable)
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("offset %1$llu lies behind the %2$llu bytes stored so far"),
                           ULL(opening->offset), ULL(durable));
    return TRUE;
}

/* ---- the room ---------------------------------------------------------------------------- */

/* What is told to other hosts, beside the look at the image. */
typedef struct {
    VimgLease *lease;
    const VimgLeaseRoom *room; /* NULL: it is not known yet */
    guint64 bytes;
    gboolean must;
    gboolean good;
    GError *error;
} Reservation;

static void
reserve(gpointer data)
{
    Reservation *reservation = data;

    g_clear_error(&reservation->error);
    reservation->good =
        reservation->room
            ? vimg_lease_reserve_in(reservation->lease, reservation->room, reservation->bytes,
                                    reservation->must, &reservation->error)
            : vimg_lease_reserve(reservation->lease, reservation->bytes, reservation->must,
                                 &reservation->error);
}

/* The call's length, else the guess, else some way ahead of the stream. */
static gboolean
load_and_reserve(VimgOpening *opening, GError **error)
{
    guint64 bytes = opening->ahead;
    Reservation reservation = {.lease = opening->lease,
                               .bytes = bytes ? bytes : VIMG_RESERVE_AHEAD,
                               .must = opening->must};
    VimgAside aside = {0};
    guint64 here;
    gboolean good;

    /* what goes on may need less: nobody is to be refused for what is there */
    if (opening->offset == 0) {
        vimg_aside_end(&opening->measuring);
        if (opening->measured)
            reservation.room = &opening->room;
        vimg_aside_begin(&aside, opening->store->transport, reserve, &reservation);
    }
    good = load(opening, error);
    /* what is compared takes no space */
    here = good && opening->old ? vimg_index_length(opening->old) - opening->offset : 0;
    if (aside.started)
        vimg_aside_end(&aside);
    if (good && (!aside.started || (bytes > 0 && here > 0))) {
        reservation.bytes -= bytes ? MIN(bytes, here) : 0;
        reserve(&reservation);
    }
    if (good && reservation.error)
        g_propagate_error(error, g_steal_pointer(&reservation.error));
    g_clear_error(&reservation.error);
    return good && reservation.good;
}

/* ---- both -------------------------------------------------------------------------------- */

static void
open_all(gpointer data)
{
    VimgOpening *opening = data;

    if (!load_and_reserve(opening, &opening->error))
        vimg_lease_blame(opening->lease, &opening->error);
    {
        LOCK_GUARD(&opening->lock);

        opening->ended = TRUE;
        pthread_cond_broadcast(&opening->changed);
    }
}

gboolean
vimg_opening_begin(VimgOpening *opening, GError **error)
{
    if (opening->format) {
        vimg_aside_begin(&opening->aside, opening->store->transport, open_all, opening);
        if (opening->aside.started)
            return TRUE;
        vimg_aside_drop(&opening->aside);
    }
    g_clear_pointer(&opening->format, g_free);
    open_all(opening);
    return vimg_opening_wait(opening, error);
}

gboolean
vimg_opening_has_ended(VimgOpening *opening)
{
    LOCK_GUARD(&opening->lock);

    return opening->ended;
}

gboolean
vimg_opening_wait(VimgOpening *opening, GError **error)
{
    LOCK_GUARD(&opening->lock);

    while (!opening->ended)
        thread_must(pthread_cond_wait(&opening->changed, &opening->lock));
    if (opening->error && error)
        *error = g_error_copy(opening->error);
    return !opening->error;
}
