/*
 * download.c: the bytes of an object in their order, read in parts, many at a time
 *
 * A ring of slots, one for each worker: a worker takes the next part whose slot is free, and the
 * caller empties them in order.  So no more than so many parts are ever in memory.  What the caller
 * is done with is filled again: fresh memory costs a fault a page, and leaves holes behind.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crc64.h"
#include "download.h"
#include "../thread.h"
#include "throw.h"

#define PART_SIZE ((guint64)8 * 1024 * 1024)
#define WORKERS 8
#define WORKERS_MAX 64

struct _VimgOssDownload {
    VimgOss *oss;
    VimgOssDownloadRules rules;
    VimgPatience patience; /* of the workers */
    guint64 count;         /* parts */
    guint n_slots;
    gint stop; /* through __atomic builtins */

    /* the caller's */
    guint64 crc; /* of what was handed out */

    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    pthread_cond_t room;  /* a slot was emptied, or the end */
    pthread_cond_t filled;
    VimgBuffer **slots; /* of part N at N modulo @n_slots */
    guint64 *sums;
    GQueue lent; /* of VimgBuffer of whole parts that were handed out, the first of them in front */
    guint64 begun; /* parts that workers took */
    guint64 taken; /* parts that were handed out */
    GError *failed;
    pthread_t *threads;
    guint n_threads;
};

static gboolean
is_over(gpointer data)
{
    const VimgOssDownload *download = data;
    const VimgPatience *outer = download->rules.patience;

    return __atomic_load_n(&download->stop, __ATOMIC_ACQUIRE) ||
           (outer && outer->cancelled && outer->cancelled(outer->data));
}

/* One that the caller is done with, whose pages are there, or a new one. */
static VimgBuffer *
take_buffer(VimgOssDownload *download, gsize size)
{
    LOCK_GUARD(&download->lock);
    GList *link;

    for (link = size == download->rules.part_size ? download->lent.head : NULL; link;
         link = link->next) {
        VimgBuffer *buffer = link->data;

        /* ours alone: nobody is left who could take another reference */
        if (__atomic_load_n(&buffer->refs, __ATOMIC_ACQUIRE) > 1)
            continue;
        g_queue_delete_link(&download->lent, link);
        return buffer;
    }
    return vimg_buffer_new(size);
}

static VimgBuffer *
read_part(VimgOssDownload *download, guint64 part, guint64 *sum, GError **error)
{
    const VimgOssDownloadRules *rules = &download->rules;
    guint64 offset = rules->offset + part * rules->part_size;
    gsize size = (gsize)MIN(rules->part_size, rules->object->size - offset);
    g_autoptr(VimgBuffer) buffer = take_buffer(download, size);

    if (!vimg_oss_get_range(download->oss, rules->key, rules->object->etag, offset, buffer->data,
                            size, &download->patience, error))
        return NULL;
    *sum = vimg_crc64(0, buffer->data, size);
    return g_steal_pointer(&buffer);
}

/* Returns: FALSE when there is nothing left to do. */
static gboolean
claim(VimgOssDownload *download, guint64 *part)
{
    LOCK_GUARD(&download->lock);

    while (!download->stop && download->begun < download->count &&
           download->begun >= download->taken + download->n_slots)
        thread_must(pthread_cond_wait(&download->room, &download->lock));
    if (download->stop || download->begun == download->count)
        return FALSE;
    *part = download->begun++;
    return TRUE;
}

/* With the lock: nobody goes on. */
static void
stop_all(VimgOssDownload *download)
{
    __atomic_store_n(&download->stop, 1, __ATOMIC_RELEASE);
    thread_must(pthread_cond_broadcast(&download->room));
    thread_must(pthread_cond_broadcast(&download->filled));
}

static void *
run(void *data)
{
    VimgOssDownload *download = data;
    guint64 part;

    while (claim(download, &part)) {
        GError *local = NULL;
        guint64 sum = 0;
        VimgBuffer *buffer = read_part(download, part, &sum, &local);
        LOCK_GUARD(&download->lock);

        if (!buffer) {
            if (download->failed)
                g_clear_error(&local);
            else
                download->failed = local;
            stop_all(download);
            return NULL;
        }
        download->slots[part % download->n_slots] = buffer;
        download->sums[part % download->n_slots] = sum;
        thread_must(pthread_cond_broadcast(&download->filled));
    }
    return NULL;
}

VimgOssDownload *
vimg_oss_download_new(VimgOss *oss, const VimgOssDownloadRules *rules, GError **error)
{
    g_autoptr(VimgOssDownload) download = g_new0(VimgOssDownload, 1);
    guint64 length = rules->object->size - MIN(rules->offset, rules->object->size);
    guint i;

    download->oss = oss;
    download->rules = *rules;
    download->rules.part_size = rules->part_size > 0 ? rules->part_size : PART_SIZE;
    download->count = length / download->rules.part_size + (length % download->rules.part_size > 0);
    download->n_slots = (guint)CLAMP(rules->workers > 0 ? rules->workers : WORKERS, 1,
                                     MIN(MAX(download->count, 1), WORKERS_MAX));
    download->slots = g_new0(VimgBuffer *, download->n_slots);
    download->sums = g_new0(guint64, download->n_slots);
    download->threads = g_new0(pthread_t, download->n_slots);
    download->patience = (VimgPatience){
        .cancelled = is_over,
        .data = download,
        .deadline = rules->patience ? rules->patience->deadline : 0,
    };
    thread_must(pthread_mutex_init(&download->lock, NULL));
    thread_must(pthread_cond_init(&download->room, NULL));
    thread_must(pthread_cond_init(&download->filled, NULL));
    for (i = 0; i < download->n_slots && download->count > 0; i++)
        if (thread_start(&download->threads[download->n_threads], run, download) == 0)
            download->n_threads++;
    if (download->count == 0 || download->n_threads > 0)
        return g_steal_pointer(&download);
    throw_error(error, VIMG_ERROR_BUSY, _("no thread can be started"));
    return NULL;
}

void
vimg_oss_download_free(VimgOssDownload *download)
{
    guint i;

    if (!download)
        return;
    {
        LOCK_GUARD(&download->lock);

        stop_all(download);
    }
    for (i = 0; i < download->n_threads; i++)
        thread_must(pthread_join(download->threads[i], NULL));
    for (i = 0; i < download->n_slots; i++)
        vimg_buffer_unref(download->slots[i]);
    while (!g_queue_is_empty(&download->lent))
        vimg_buffer_unref(g_queue_pop_head(&download->lent));
    pthread_cond_destroy(&download->room);
    pthread_cond_destroy(&download->filled);
    pthread_mutex_destroy(&download->lock);
    g_clear_error(&download->failed);
    g_free(download->slots);
    g_free(download->sums);
    g_free(download->threads);
    g_free(download);
}

/*
 * @buffer goes to the caller, and is remembered for when it comes back: as many as there are slots,
 * so that one who takes them all at once leaves none to the allocator, whose arenas keep it.  There
 * are no more of them for that, as a new one is made only where none is back.  With the lock.
 */
static void
lend(VimgOssDownload *download, VimgBuffer *buffer)
{
    if (buffer->size < download->rules.part_size)
        return;
    if (download->lent.length > download->n_slots)
        vimg_buffer_unref(g_queue_pop_head(&download->lent));
    g_queue_push_tail(&download->lent, vimg_buffer_ref(buffer));
}

/* The slot of the next part, emptied.  Returns: (transfer full), NULL with the first failure. */
static VimgBuffer *
take(VimgOssDownload *download, guint64 *sum, GError **error)
{
    LOCK_GUARD(&download->lock);
    guint64 slot = download->taken % download->n_slots;
    VimgBuffer *buffer;

    while (!download->slots[slot] && !download->failed)
        thread_must(pthread_cond_wait(&download->filled, &download->lock));
    buffer = download->slots[slot];
    if (!buffer) {
        if (error)
            *error = g_error_copy(download->failed);
        return NULL;
    }
    *sum = download->sums[slot];
    download->slots[slot] = NULL;
    lend(download, buffer);
    download->taken++;
    thread_must(pthread_cond_broadcast(&download->room));
    return buffer;
}

static gboolean
check_whole(const VimgOssDownload *download, GError **error)
{
    const VimgOssObject *object = download->rules.object;

    if (download->rules.offset > 0 || !object->has_crc || object->crc == download->crc)
        return TRUE;
    return throw_error(error, VIMG_ERROR_DAMAGED,
                       _("the bytes of object '%s' do not have the sum that was known of them"),
                       download->rules.key);
}

gboolean
vimg_oss_download_next(VimgOssDownload *download, VimgExtent *out, GError **error)
{
    g_autoptr(VimgBuffer) buffer = NULL;
    guint64 sum = 0;

    memset(out, 0, sizeof(*out));
    if (download->taken == download->count)
        return TRUE;
    buffer = take(download, &sum, error);
    if (!buffer)
        return FALSE;
    download->crc = vimg_crc64_combine(download->crc, sum, buffer->size);
    if (download->taken == download->count && !check_whole(download, error))
        return FALSE;
    out->length = buffer->size;
    out->data = g_steal_pointer(&buffer);
    return TRUE;
}
