/*
 * stream.c: one upload or download of a client: the queues between its socket and its thread
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/stream.h"
#include "util/i18n.h"

#define OUT_MAX 4     /* packets queued for the socket before the thread waits */
#define ITEM_COST 256 /* bytes an item takes besides its data: empty packets are not free */
#define IDLE_AFTER (G_USEC_PER_SEC / 2) /* nothing came */

typedef enum {
    ITEM_DATA,
    ITEM_HOLE,
    ITEM_FINISH,
    ITEM_IDLE, /* nothing came for a while */
} ItemKind;

struct _VimgStreamItem {
    VimgStreamItem *next;
    ItemKind kind;
    VimgBuffer *data;
    guint64 length;
};

static void
item_free(VimgStreamItem *item)
{
    vimg_buffer_unref(item->data);
    g_free(item);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgStreamItem, item_free)

static gsize
item_cost(const VimgStreamItem *item)
{
    return ITEM_COST + (item->data ? item->data->size : 0);
}

VimgStream *
vimg_stream_new(VimgInbox *inbox, const VimgStreamEvents *events, VimgClient *client,
                const VimgFrameHeader *call, int domain)
{
    VimgStream *stream = g_new0(VimgStream, 1);

    stream->refs = 1;
    stream->inbox = inbox;
    stream->events = events;
    stream->client = vimg_client_ref(client);
    stream->header = *call;
    stream->header.type = VIMG_FRAME_STREAM;
    stream->header.status = VIMG_FRAME_CONTINUE;
    stream->domain = domain;
    vimg_mutex_init(&stream->lock);
    vimg_cond_init(&stream->changed);
    return stream;
}

VimgStream *
vimg_stream_ref(VimgStream *stream)
{
    __atomic_add_fetch(&stream->refs, 1, __ATOMIC_RELAXED);
    return stream;
}

void
vimg_stream_unref(VimgStream *stream)
{
    if (!stream || __atomic_sub_fetch(&stream->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vimg_stream_clear_input(stream);
    vimg_packet_queue_clear(&stream->out);
    vimg_buffer_unref(stream->failure);
    g_clear_error(&stream->refused);
    vimg_cond_clear(&stream->changed);
    vimg_mutex_clear(&stream->lock);
    vimg_client_unref(stream->client);
    g_free(stream);
}

/* ---- posts: the thread to the main loop --------------------------------------------------- */

static void
report_consumed(gpointer data)
{
    VimgStream *stream = data;
    gsize cost;

    vimg_mutex_lock(&stream->lock);
    cost = stream->consumed;
    stream->consumed = 0;
    stream->consumed_posted = FALSE;
    vimg_mutex_unlock(&stream->lock);
    stream->events->consumed(stream, cost);
    vimg_stream_unref(stream);
}

static void
report_ready(gpointer data)
{
    VimgStream *stream = data;

    stream->events->ready(stream);
    vimg_stream_unref(stream);
}

static void
report_ended(gpointer data)
{
    VimgStream *stream = data;

    stream->events->ended(stream);
    vimg_stream_unref(stream);
}

/* ---- input -------------------------------------------------------------------------------- */

static VimgStreamItem *
item_new(ItemKind kind)
{
    VimgStreamItem *item = g_new0(VimgStreamItem, 1);

    item->kind = kind;
    return item;
}

static gsize
put_item(VimgStream *stream, ItemKind kind, VimgBuffer *data, guint64 length)
{
    VimgStreamItem *item = item_new(kind);

    item->data = data;
    item->length = length;
    VIMG_LOCK_GUARD(&stream->lock);
    if (stream->in_tail)
        stream->in_tail->next = item;
    else
        stream->in_head = item;
    stream->in_tail = item;
    vimg_cond_signal(&stream->changed);
    return item_cost(item);
}

gsize
vimg_stream_put_data(VimgStream *stream, VimgBuffer *data)
{
    return put_item(stream, ITEM_DATA, data, 0);
}

gsize
vimg_stream_put_hole(VimgStream *stream, guint64 length)
{
    return put_item(stream, ITEM_HOLE, NULL, length);
}

gsize
vimg_stream_put_finish(VimgStream *stream)
{
    return put_item(stream, ITEM_FINISH, NULL, 0);
}

gboolean
vimg_stream_has_hole(VimgStream *stream)
{
    const VimgStreamItem *item;

    VIMG_LOCK_GUARD(&stream->lock);
    for (item = stream->in_head; item; item = item->next) {
        if (item->kind == ITEM_HOLE)
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_stream_has_input(VimgStream *stream)
{
    VIMG_LOCK_GUARD(&stream->lock);
    return stream->in_head != NULL;
}

/* Lock held. */
static VimgStreamItem *
pop_item(VimgStream *stream)
{
    VimgStreamItem *item = stream->in_head;

    if (!item)
        return NULL;
    stream->in_head = item->next;
    if (!stream->in_head)
        stream->in_tail = NULL;
    stream->consumed += item_cost(item);
    return item;
}

gsize
vimg_stream_clear_input(VimgStream *stream)
{
    VimgStreamItem *item;
    gsize cost;

    VIMG_LOCK_GUARD(&stream->lock);
    while ((item = pop_item(stream)))
        item_free(item);
    cost = stream->consumed;
    stream->consumed = 0;
    return cost;
}

/* Thread.  Returns: (transfer full); NULL when cancelled. */
static VimgStreamItem *
wait_item(VimgStream *stream)
{
    gint64 deadline = g_get_monotonic_time() + IDLE_AFTER;
    VimgStreamItem *item;

    VIMG_LOCK_GUARD(&stream->lock);
    while (!stream->in_head && !stream->cancelled &&
           vimg_cond_wait_until(&stream->changed, &stream->lock, deadline))
        continue;
    if (stream->cancelled)
        return NULL;
    item = pop_item(stream);
    return item ? item : item_new(ITEM_IDLE);
}

/* Thread: an item was worked off, so there is room for more. */
static void
item_done(VimgStream *stream)
{
    VIMG_LOCK_GUARD(&stream->lock);
    if (stream->consumed_posted || stream->consumed == 0)
        return;
    stream->consumed_posted = TRUE;
    vimg_inbox_post(stream->inbox, report_consumed, vimg_stream_ref(stream));
}

/* ---- output ------------------------------------------------------------------------------- */

/* Lock held. */
static void
add_packet(VimgStream *stream, VimgPacket *packet)
{
    vimg_packet_queue_push(&stream->out, packet);
    if (stream->announced)
        return;
    stream->announced = TRUE;
    vimg_inbox_post(stream->inbox, report_ready, vimg_stream_ref(stream));
}

/* Thread; @packet: (transfer full).  Waits for room.  Returns: FALSE when cancelled. */
static gboolean
send_packet(VimgStream *stream, VimgPacket *packet)
{
    VIMG_LOCK_GUARD(&stream->lock);
    while (stream->out.length >= OUT_MAX && !stream->cancelled)
        vimg_cond_wait(&stream->changed, &stream->lock);
    if (stream->cancelled) {
        vimg_packet_free(packet);
        return FALSE;
    }
    add_packet(stream, packet);
    return TRUE;
}

void
vimg_stream_append_packet(VimgStream *stream, VimgPacket *packet)
{
    VIMG_LOCK_GUARD(&stream->lock);
    add_packet(stream, packet);
}

VimgPacket *
vimg_stream_take_packet(VimgStream *stream, gboolean *more)
{
    VimgPacket *packet;

    VIMG_LOCK_GUARD(&stream->lock);
    packet = vimg_packet_queue_pop(&stream->out);
    *more = stream->out.head != NULL;
    stream->announced = *more;
    /* the thread waits only when it is full, and then gets room for some packets at once */
    if (stream->out.length == OUT_MAX / 2)
        vimg_cond_signal(&stream->changed);
    return packet;
}

void
vimg_stream_drop_packets(VimgStream *stream)
{
    VIMG_LOCK_GUARD(&stream->lock);
    vimg_packet_queue_clear(&stream->out);
    vimg_cond_signal(&stream->changed);
}

void
vimg_stream_drained(VimgStream *stream)
{
    stream->events->drained(stream);
}

/* ---- the thread --------------------------------------------------------------------------- */

static gboolean
run_upload(VimgStream *stream, GError **error)
{
    for (;;) {
        g_autoptr(VimgStreamItem) item = wait_item(stream);
        gboolean ok = TRUE;

        if (!item)
            return vimg_throw(error, VIMG_ERROR_ABORTED, _("stream aborted"));
        switch (item->kind) {
        case ITEM_DATA:
            ok = vimg_transfer_write(stream->transfer, item->data, 0, item->data->size, error);
            break;
        case ITEM_HOLE:
            ok = vimg_transfer_hole(stream->transfer, item->length, error);
            break;
        case ITEM_FINISH:
            return vimg_transfer_finish(stream->transfer, error);
        case ITEM_IDLE:
            vimg_transfer_idle(stream->transfer);
            break;
        }
        if (!ok)
            return FALSE;
        item_done(stream);
    }
}

static VimgBuffer *zeros; /* VIMG_STREAM_PAYLOAD bytes, for ever */

static void
make_zeros(void)
{
    zeros = vimg_buffer_new(VIMG_STREAM_PAYLOAD);
    memset(zeros->data, 0, zeros->size);
}

/* @buffer from @offset on, in packets; NULL: zeros. */
static gboolean
send_data(VimgStream *stream, VimgBuffer *buffer, gsize offset, guint64 length)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_zeros);
    while (length > 0) {
        gsize size = MIN(length, VIMG_STREAM_PAYLOAD);
        VimgPacket *packet = vimg_packet_new_payload(&stream->header, buffer ? buffer : zeros,
                                                     buffer ? offset : 0, size);

        if (!send_packet(stream, packet))
            return FALSE;
        offset += size;
        length -= size;
    }
    return TRUE;
}

static gboolean
send_hole(VimgStream *stream, guint64 length)
{
    VimgFrameHeader header = stream->header;

    header.type = VIMG_FRAME_HOLE;
    /* the wire's lengths have a sign */
    while (length > 0) {
        guint64 size = MIN(length, G_MAXINT64);

        if (!send_packet(stream, vimg_packet_new(vimg_frame_new_hole(&header, size))))
            return FALSE;
        length -= size;
    }
    return TRUE;
}

static gboolean
send_extent(VimgStream *stream, const VimgExtent *extent)
{
    if (!extent->data && stream->sparse)
        return send_hole(stream, extent->length);
    return send_data(stream, extent->data, extent->offset, extent->length);
}

static gboolean
run_download(VimgStream *stream, GError **error)
{
    for (;;) {
        VimgExtent extent = {0};
        gboolean sent;

        if (!vimg_transfer_next(stream->transfer, &extent, error))
            return FALSE;
        if (extent.length == 0)
            return TRUE;
        sent = send_extent(stream, &extent);
        vimg_buffer_unref(extent.data);
        if (!sent)
            return vimg_throw(error, VIMG_ERROR_ABORTED, _("stream aborted"));
    }
}

/* Frees what a backend holds before the client can hear of the end. */
static void
free_transfer(VimgStream *stream)
{
    VimgTransfer *transfer;

    vimg_mutex_lock(&stream->lock);
    transfer = g_steal_pointer(&stream->transfer);
    vimg_mutex_unlock(&stream->lock);
    vimg_transfer_free(transfer);
}

static void
stream_main(gpointer data)
{
    VimgStream *stream = data;
    g_autoptr(GError) error = NULL;
    gboolean ok = stream->upload ? run_upload(stream, &error) : run_download(stream, &error);

    free_transfer(stream);
    if (!ok) {
        if (!error)
            vimg_throw(&error, VIMG_ERROR_INTERNAL, _("a transfer failed without an error"));
        stream->failure = vimg_frame_new_error(&stream->header, error, stream->domain);
    } else if (!stream->upload) {
        vimg_stream_append_packet(stream, vimg_packet_new_payload(&stream->header, NULL, 0, 0));
    }
    vimg_inbox_post(stream->inbox, report_ended, stream);
}

gboolean
vimg_stream_start(VimgStream *stream, VimgTransfer *transfer, gboolean upload, gboolean sparse,
                  GError **error)
{
    stream->upload = upload;
    stream->sparse = sparse;
    stream->transfer = transfer;
    if (!vimg_thread_start(&stream->thread, upload ? "upload" : "download", stream_main,
                           vimg_stream_ref(stream), error)) {
        stream->transfer = NULL;
        vimg_stream_unref(stream);
        return FALSE;
    }
    stream->started = TRUE;
    stream->state = VIMG_STREAM_RUNNING;
    return TRUE;
}

void
vimg_stream_cancel(VimgStream *stream)
{
    /* the lock keeps the thread from freeing the transfer; cancelling only sets a flag and wakes */
    VIMG_LOCK_GUARD(&stream->lock);
    stream->cancelled = TRUE;
    if (stream->transfer)
        vimg_transfer_cancel(stream->transfer);
    vimg_cond_broadcast(&stream->changed);
}

void
vimg_stream_join(VimgStream *stream)
{
    vimg_thread_join(stream->thread);
    stream->started = FALSE;
}
