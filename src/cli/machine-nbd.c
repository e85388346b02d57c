/*
 * machine-nbd.c: the content of a disk, over NBD
 *
 * The reader keeps a ring of pieces: those behind `ready` come from the server, those between
 * `taken` and `ready` wait for whoever asks.  It alone uses the connection once it runs.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <libnbd.h>

#include "cli/machine-extents.h"
#include "cli/machine-hold.h"
#include "cli/machine-nbd.h"
#include "util/error.h"
#include "util/i18n.h"
#include "util/thread.h"

#define SLOTS 16
#define PATIENCE (G_USEC_PER_SEC / 4)
#define WRITE_MAX (32 * 1024 * 1024) /* what every server takes at once */

typedef struct {
    VimgNbdPiece piece;
    guint8 *buffer; /* VIMG_NBD_PIECE */
    gboolean done;
    int failed; /* errno of the read */
} Slot;

struct _VimgNbd {
    struct nbd_handle *handle;
    VimgExtents *extents;
    guint64 size;
    int hold; /* of a file that is only read */
    gboolean running;
    VimgThread thread;
    VimgMutex lock;
    VimgCond changed;
    /* under the lock; numbers of pieces since the beginning */
    Slot slots[SLOTS];
    guint64 asked, taken;
    gboolean holding; /* the piece before `taken` is still looked at */
    gboolean stop;
    GError *error; /* why the reader ended */
};

/* The library says what it did before why it failed. */
static gboolean
fail(GError **error)
{
    const char *why = nbd_get_error();

    return vimg_throw(error, VIMG_ERROR_SYSTEM, _("the disk cannot be read over NBD: %s"),
                      why ? why : "?");
}

/* ---- the reader ------------------------------------------------------------------------- */

static int
on_read(void *data, int *failed)
{
    Slot *slot = data;

    slot->failed = *failed;
    __atomic_store_n(&slot->done, TRUE, __ATOMIC_RELEASE);
    return 1;
}

/* Puts the next piece into @slot.  Returns: FALSE with @error. */
static gboolean
ask(VimgNbd *nbd, Slot *slot, guint64 at, GError **error)
{
    nbd_completion_callback callback = {.callback = on_read, .user_data = slot};
    VimgNbdPiece *piece = &slot->piece;

    *piece = (VimgNbdPiece){.kind = VIMG_NBD_END, .offset = at};
    slot->done = TRUE;
    slot->failed = 0;
    if (at == nbd->size)
        return TRUE;
    if (!vimg_extents_next(nbd->extents, at, &piece->kind, &piece->length, error))
        return FALSE;
    if (piece->kind != VIMG_NBD_DATA)
        return TRUE;
    piece->length = MIN(piece->length, VIMG_NBD_PIECE - at % VIMG_NBD_PIECE);
    piece->data = slot->buffer;
    slot->done = FALSE;
    return nbd_aio_pread(nbd->handle, slot->buffer, (size_t)piece->length, at, callback, 0) >= 0 ||
           vimg_extents_throw(nbd->handle, error);
}

/* How many pieces may be asked for, after waiting for room if nothing is on its way. */
static guint
room(VimgNbd *nbd, gboolean idle)
{
    guint n = 0;

    VIMG_LOCK_GUARD(&nbd->lock);
    vimg_cond_broadcast(&nbd->changed);
    while (!nbd->stop && n == 0) {
        n = SLOTS - (guint)(nbd->asked - nbd->taken) - (nbd->holding ? 1 : 0);
        if (n == 0 && !idle)
            break;
        if (n == 0)
            vimg_cond_wait(&nbd->changed, &nbd->lock);
    }
    return nbd->stop ? G_MAXUINT : n;
}

static gboolean
read_on(VimgNbd *nbd, GError **error)
{
    guint64 at = 0;
    gboolean ended = FALSE;

    while (!ended || nbd_aio_in_flight(nbd->handle) > 0) {
        guint n = ended ? 0 : room(nbd, nbd_aio_in_flight(nbd->handle) == 0);

        if (n == G_MAXUINT)
            return TRUE;
        for (; n > 0 && !ended; n--) {
            Slot *slot = &nbd->slots[nbd->asked % SLOTS];

            if (!ask(nbd, slot, at, error))
                return FALSE;
            at += slot->piece.length;
            ended = slot->piece.kind == VIMG_NBD_END;
            vimg_mutex_lock(&nbd->lock);
            nbd->asked++;
            vimg_mutex_unlock(&nbd->lock);
        }
        if (nbd_aio_in_flight(nbd->handle) > 0 && nbd_poll(nbd->handle, PATIENCE / 1000) < 0)
            return vimg_extents_throw(nbd->handle, error);
        if (ended && room(nbd, FALSE) == G_MAXUINT)
            return TRUE;
    }
    return TRUE;
}

static void
read_thread(gpointer data)
{
    VimgNbd *nbd = data;
    g_autoptr(GError) error = NULL;

    read_on(nbd, &error);
    VIMG_LOCK_GUARD(&nbd->lock);
    nbd->error = g_steal_pointer(&error);
    vimg_cond_broadcast(&nbd->changed);
}

gboolean
vimg_nbd_start(VimgNbd *nbd, GError **error)
{
    for (guint i = 0; i < SLOTS; i++)
        nbd->slots[i].buffer = g_malloc(VIMG_NBD_PIECE);
    nbd->running = vimg_thread_start(&nbd->thread, "nbd", read_thread, nbd, error);
    return nbd->running;
}

/* ---- who takes the pieces --------------------------------------------------------------- */

static gboolean
take(VimgNbd *nbd, Slot *slot, VimgNbdPiece *piece, GError **error)
{
    if (slot->failed == ENOTCONN || slot->failed == ESHUTDOWN)
        return vimg_throw(error, VIMG_ERROR_SYSTEM, "%s",
                          _("the disk is served no more: the machine or its backup job ended"));
    if (slot->failed)
        return vimg_throw(error, VIMG_ERROR_SYSTEM,
                          _("the disk cannot be read at byte %1$llu: %2$s"),
                          (unsigned long long)slot->piece.offset, g_strerror(slot->failed));
    *piece = slot->piece;
    nbd->taken++;
    nbd->holding = TRUE;
    return TRUE;
}

gboolean
vimg_nbd_next(VimgNbd *nbd, VimgNbdPiece *piece, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE;
    Slot *slot = &nbd->slots[nbd->taken % SLOTS];

    VIMG_LOCK_GUARD(&nbd->lock);
    nbd->holding = FALSE;
    vimg_cond_broadcast(&nbd->changed);
    *piece = (VimgNbdPiece){.kind = VIMG_NBD_NOTHING};
    while (nbd->taken == nbd->asked || !__atomic_load_n(&slot->done, __ATOMIC_ACQUIRE)) {
        if (nbd->error) {
            g_propagate_error(error, g_error_copy(nbd->error));
            return FALSE;
        }
        if (!vimg_cond_wait_until(&nbd->changed, &nbd->lock, deadline))
            return TRUE;
    }
    return take(nbd, slot, piece, error);
}

/* ---- writing ---------------------------------------------------------------------------- */

static gboolean
fail_write(GError **error)
{
    const char *why = nbd_get_error();

    return vimg_throw(error, VIMG_ERROR_SYSTEM, _("the disk cannot be written: %s"),
                      why ? why : "?");
}

gboolean
vimg_nbd_write(VimgNbd *nbd, const void *data, gsize size, guint64 offset, GError **error)
{
    for (gsize done = 0; done < size;) {
        gsize step = MIN(size - done, WRITE_MAX);

        if (nbd_pwrite(nbd->handle, (const guint8 *)data + done, step, offset + done, 0) < 0)
            return fail_write(error);
        done += step;
    }
    return TRUE;
}

gboolean
vimg_nbd_zero(VimgNbd *nbd, guint64 length, guint64 offset, GError **error)
{
    while (length > 0) {
        guint64 step = MIN(length, VIMG_EXTENTS_MAX);

        if (nbd_zero(nbd->handle, step, offset, 0) < 0)
            return fail_write(error);
        length -= step;
        offset += step;
    }
    return TRUE;
}

gboolean
vimg_nbd_flush(VimgNbd *nbd, GError **error)
{
    return nbd_flush(nbd->handle, 0) >= 0 || fail_write(error);
}

/* ---- life ------------------------------------------------------------------------------- */

static VimgNbd *
create(GError **error)
{
    VimgNbd *nbd = g_new0(VimgNbd, 1);

    nbd->hold = -1;
    vimg_mutex_init(&nbd->lock);
    vimg_cond_init(&nbd->changed);
    nbd->handle = nbd_create();
    if (nbd->handle && nbd_add_meta_context(nbd->handle, LIBNBD_CONTEXT_BASE_ALLOCATION) >= 0)
        return nbd;
    fail(error);
    vimg_nbd_free(nbd);
    return NULL;
}

static gboolean
settle(VimgNbd *nbd, const char *bitmap, GError **error)
{
    gint64 size = nbd_get_size(nbd->handle);

    if (size < 0)
        return fail(error);
    nbd->size = (guint64)size;
    nbd->extents = vimg_extents_new(nbd->handle, nbd->size, bitmap, error);
    return nbd->extents != NULL;
}

VimgNbd *
vimg_nbd_connect(const char *socket, const char *name, const char *bitmap, GError **error)
{
    g_autoptr(VimgNbd) nbd = create(error);
    g_autofree char *context = bitmap ? g_strconcat("qemu:dirty-bitmap:", bitmap, NULL) : NULL;

    if (!nbd)
        return NULL;
    if (nbd_set_export_name(nbd->handle, name) < 0 ||
        (context && nbd_add_meta_context(nbd->handle, context) < 0) ||
        nbd_connect_unix(nbd->handle, socket) < 0) {
        fail(error);
        return NULL;
    }
    return settle(nbd, context, error) ? g_steal_pointer(&nbd) : NULL;
}

VimgNbd *
vimg_nbd_open(const char *path, const char *format, gboolean writable, GError **error)
{
    g_autoptr(VimgNbd) nbd = create(error);
    /* its discards and zeros are to be holes */
    char *argv[] = {"qemu-nbd",
                    "-f",
                    (char *)format,
                    "--discard=unmap",
                    writable ? "--cache=writeback" : "--read-only",
                    (char *)path,
                    NULL};

    if (!nbd)
        return NULL;
    /* a server of a raw disk that only reads bears writers */
    if (!writable && (nbd->hold = vimg_hold_open(path, error)) < 0)
        return NULL;
    if (nbd_connect_systemd_socket_activation(nbd->handle, argv) < 0) {
        vimg_throw(error, VIMG_ERROR_SYSTEM, _("qemu-nbd cannot open the disk at '%1$s': %2$s"),
                   path, nbd_get_error());
        return NULL;
    }
    return settle(nbd, NULL, error) ? g_steal_pointer(&nbd) : NULL;
}

void
vimg_nbd_free(VimgNbd *nbd)
{
    if (!nbd)
        return;
    if (nbd->running) {
        vimg_mutex_lock(&nbd->lock);
        nbd->stop = TRUE;
        vimg_cond_broadcast(&nbd->changed);
        vimg_mutex_unlock(&nbd->lock);
        vimg_thread_join(nbd->thread);
    }
    /* reads that are on their way end here, before their buffers do */
    nbd_close(nbd->handle);
    if (nbd->hold >= 0)
        close(nbd->hold);
    vimg_extents_free(nbd->extents);
    for (guint i = 0; i < SLOTS; i++)
        g_free(nbd->slots[i].buffer);
    g_clear_error(&nbd->error);
    vimg_cond_clear(&nbd->changed);
    vimg_mutex_clear(&nbd->lock);
    g_free(nbd);
}

guint64
vimg_nbd_size(const VimgNbd *nbd)
{
    return nbd->size;
}
