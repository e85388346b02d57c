/*
 * multipart.c: an object sent in parts, many at a time
 *
 * The caller fills one part; workers, each with a part of its own, send the others.  What was sent
 * before is known by the storage's list and compared by its digests.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "crypt.h"
#include "multipart-private.h"
#include "../thread.h"
#include "throw.h"

#define MIB ((guint64)1024 * 1024)
#define PART_LEAST (8 * MIB)
#define PART_MOST (5 * 1024 * MIB)
#define PART_UNKNOWN (64 * MIB)
#define AHEAD_PARTS 4
#define AHEAD (16 * MIB) /* of parts that were sent and wait to be summed with others */
#define SEND_ATTEMPTS 3  /* of a part that arrives as another one */
#define MEMORY_PART 2    /* of all memory is for parts, at most a half */

guint64
vimg_oss_part_size(guint64 total)
{
    guint64 size = total > 0 ? PART_LEAST : PART_UNKNOWN;

    while (size < PART_MOST && size * VIMG_OSS_PARTS_MAX < total)
        size *= 2;
    return MIN(size, PART_MOST);
}

/* ---- memory ---- */

static guint64 reserved; /* bytes of parts of all uploads; through __atomic builtins */

static guint64
memory_limit(void)
{
    return (guint64)sysconf(_SC_PHYS_PAGES) * (guint64)sysconf(_SC_PAGESIZE) / MEMORY_PART;
}

/* Where parts are summed one by one, none waits for others. */
static guint
most_ahead(guint64 part_size)
{
    return vimg_md5_width() > 1 ? (guint)MIN(AHEAD / part_size, AHEAD_PARTS) : 0;
}

static guint64
need_of(const VimgOssUpload *upload)
{
    return (upload->limit + upload->ahead + 1) * upload->rules->part_size;
}

/* With none that wait to be summed, and with fewer in flight, where there is no room for all. */
static gboolean
reserve(VimgOssUpload *upload, GError **error)
{
    for (upload->ahead = most_ahead(upload->rules->part_size);;) {
        guint64 need = need_of(upload);

        if (__atomic_add_fetch(&reserved, need, __ATOMIC_RELAXED) <= memory_limit()) {
            upload->reserved = need;
            return TRUE;
        }
        __atomic_sub_fetch(&reserved, need, __ATOMIC_RELAXED);
        if (upload->ahead == 0 && upload->limit == 1)
            return throw_error(
                error, VIMG_ERROR_BUSY,
                _("there is no memory for two more parts of %llu bytes; try again when other uploads have ended"),
                ULL(upload->rules->part_size));
        if (upload->ahead == 0)
            upload->limit /= 2;
        upload->ahead = 0;
    }
}

/* ---- workers ---- */

static gboolean
is_over(gpointer data)
{
    const VimgOssUpload *upload = data;
    const VimgPatience *outer = upload->rules->patience;

    return __atomic_load_n(&upload->stop, __ATOMIC_ACQUIRE) ||
           (outer && outer->cancelled && outer->cancelled(outer->data));
}

static void
task_free(gpointer data)
{
    VimgOssTask *task = data;

    vimg_buffer_unref(task->data);
    g_free(task);
}

static gboolean
has_md5(const VimgOssTask *task, const char *etag)
{
    g_autofree char *md5 = vimg_hex(task->md5.lane.digest, VIMG_MD5_SIZE);

    return g_ascii_strcasecmp(etag, md5) == 0;
}

/* The task is done; its part is there, or (transfer full) @failure says why not. */
static void
settle(VimgOssTask *task, GError *failure)
{
    VimgOssUpload *upload = task->upload;

    vimg_sums_withdraw(upload->sums, &task->md5);
    {
        LOCK_GUARD(&upload->lock);

        g_queue_push_head(&upload->spare, g_steal_pointer(&task->data));
        if (!failure)
            g_array_index(upload->parts, VimgOssPart, task->part.number - 1) = task->part;
        else if (!upload->failed)
            upload->failed = g_steal_pointer(&failure);
        /* only now: whoever ends for it must not be the first to say why */
        if (upload->failed)
            __atomic_store_n(&upload->stop, 1, __ATOMIC_RELEASE);
        upload->pending--;
        thread_must(pthread_cond_broadcast(&upload->room));
    }
    task_free(task);
    g_clear_error(&failure);
}

/* A part that was there already: is it this one?  Its ETag is its MD5. */
static void
compare(VimgOssTask *task)
{
    GError *local = NULL;

    vimg_oss_sum_part(task, task->data->size);
    vimg_sums_wait(task->upload->sums, &task->md5);
    g_strlcpy(task->part.etag, task->known.etag, sizeof(task->part.etag));
    if (task->known.size != task->part.size || !has_md5(task, task->known.etag))
        throw_error(&local, VIMG_ERROR_OPERATION_INVALID,
                    _("the bytes from %llu on differ from those that were uploaded before"),
                    ULL((task->part.number - 1) * task->upload->rules->part_size));
    settle(task, local);
}

/* Another one arrived: it is sent again. */
static void
send_again(VimgOssTask *task)
{
    VimgOssUpload *upload = task->upload;
    GError *local = NULL;

    if (++task->made < SEND_ATTEMPTS) {
        LOCK_GUARD(&upload->lock);

        g_queue_push_head(&upload->tasks, task);
        thread_must(pthread_cond_signal(&upload->work));
        return;
    }
    throw_error(&local, VIMG_ERROR_DAMAGED,
                _("part %1$u of '%2$s' arrives in the object storage as other bytes"),
                task->part.number, upload->rules->key);
    settle(task, local);
}

/* By a worker, or by the thread of the sums. */
static void
on_sum(gpointer data, VimgSum *sum)
{
    VimgOssTask *task = sum->owner;

    (void)data;
    if (has_md5(task, task->part.etag))
        settle(task, NULL);
    else
        send_again(task);
}

static void
work_on(VimgOssTask *task)
{
    VimgOssArrival arrival;
    GError *local = NULL;

    if (task->known.number > 0)
        compare(task);
    else if (!vimg_oss_send_part(task, &arrival, &local))
        settle(task, local);
    else if (arrival == VIMG_OSS_ARRIVED_OTHER)
        send_again(task);
    else if (arrival == VIMG_OSS_ARRIVED_WHOLE)
        settle(task, NULL);
    else if (vimg_sums_leave(task->upload->sums, &task->md5))
        on_sum(NULL, &task->md5);
}

static void *
run(void *data)
{
    VimgOssUpload *upload = data;

    for (;;) {
        VimgOssTask *task;

        {
            LOCK_GUARD(&upload->lock);

            while (g_queue_is_empty(&upload->tasks) && !upload->closing)
                thread_must(pthread_cond_wait(&upload->work, &upload->lock));
            task = upload->closing ? NULL : g_queue_pop_head(&upload->tasks);
        }
        if (!task)
            return NULL;
        work_on(task);
    }
}

/* ---- handing over ---- */

/* Called with the lock. */
static gboolean
check_failed(VimgOssUpload *upload, GError **error)
{
    if (!upload->failed)
        return TRUE;
    if (error)
        *error = g_error_copy(upload->failed);
    return FALSE;
}

/* Waits until at most @most tasks are pending; with the lock. */
static gboolean
wait_pending(VimgOssUpload *upload, guint most, GError **error)
{
    while (upload->pending > most && !upload->failed) {
        vimg_sums_hurry(upload->sums);
        thread_must(pthread_cond_wait(&upload->room, &upload->lock));
    }
    return check_failed(upload, error);
}

/* One more worker if all have something to do; with the lock. */
static gboolean
need_worker(VimgOssUpload *upload, GError **error)
{
    if (upload->pending <= upload->n_threads || upload->n_threads == upload->limit)
        return TRUE;
    if (thread_start(&upload->threads[upload->n_threads], run, upload) == 0)
        upload->n_threads++;
    return upload->n_threads > 0 ||
           throw_error(error, VIMG_ERROR_BUSY, _("no thread can be started"));
}

/* Of the part that was filled. */
static VimgOssTask *
make_task(VimgOssUpload *upload)
{
    VimgOssTask *task = g_new0(VimgOssTask, 1);

    task->upload = upload;
    task->data = g_steal_pointer(&upload->current);
    task->data->size = upload->filled;
    task->part = (VimgOssPart){.number = upload->number, .size = upload->filled, .has_crc = TRUE};
    task->md5.lane = (VimgMd5Lane){.data = task->data->data, .size = task->data->size};
    task->md5.owner = task;
    upload->filled = 0;
    upload->number++;
    return task;
}

/* The part that was filled goes to the workers. */
static gboolean
hand_over(VimgOssUpload *upload, GError **error)
{
    VimgOssTask *task = make_task(upload);
    guint number = task->part.number;
    LOCK_GUARD(&upload->lock);

    if (number > VIMG_OSS_PARTS_MAX || !wait_pending(upload, upload->most - 1, error)) {
        if (number > VIMG_OSS_PARTS_MAX)
            throw_error(error, VIMG_ERROR_NO_SPACE,
                        _("an object has at most %1$u parts, of %2$llu bytes here"),
                        VIMG_OSS_PARTS_MAX, ULL(upload->rules->part_size));
        task_free(task);
        return FALSE;
    }
    if (upload->parts->len < number)
        g_array_set_size(upload->parts, number);
    task->known = g_array_index(upload->parts, VimgOssPart, number - 1);
    vimg_sums_offer(upload->sums, &task->md5);
    g_queue_push_tail(&upload->tasks, task);
    upload->pending++;
    thread_must(pthread_cond_signal(&upload->work));
    return need_worker(upload, error);
}

/* One that was sent, whose pages are there, or a new one. */
static VimgBuffer *
take_buffer(VimgOssUpload *upload)
{
    LOCK_GUARD(&upload->lock);
    VimgBuffer *buffer = g_queue_pop_head(&upload->spare);

    return buffer ? buffer : vimg_buffer_new(upload->rules->part_size);
}

static void
fill(VimgOssUpload *upload, const guint8 *data, gsize size)
{
    guint8 *to = upload->current->data + upload->filled;

    if (data)
        memcpy(to, data, size);
    else
        memset(to, 0, size);
    upload->filled += size;
}

gboolean
vimg_oss_upload_write(VimgOssUpload *upload, const guint8 *data, guint64 size, GError **error)
{
    while (size > 0) {
        gsize n;

        if (!upload->current)
            upload->current = take_buffer(upload);
        n = (gsize)MIN(size, upload->rules->part_size - upload->filled);
        fill(upload, data, n);
        if (data)
            data += n;
        upload->length += n;
        size -= n;
        if (upload->filled == upload->rules->part_size && !hand_over(upload, error))
            return FALSE;
    }
    return vimg_patience_check(upload->rules->patience, error);
}

gboolean
vimg_oss_upload_flush(VimgOssUpload *upload, GError **error)
{
    LOCK_GUARD(&upload->lock);

    return wait_pending(upload, 0, error);
}

/* Parts of an earlier attempt beyond what came now would become bytes of the object. */
static gboolean
check_end(VimgOssUpload *upload, GError **error)
{
    if (upload->parts->len < upload->number)
        return TRUE;
    return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                       _("only %llu bytes came, and more were uploaded before"),
                       ULL(upload->length));
}

gboolean
vimg_oss_upload_finish(VimgOssUpload *upload, VimgOssObject *out, GError **error)
{
    /* an object of no bytes has one part of none */
    if (!upload->current && upload->number == 1)
        upload->current = vimg_buffer_new(0);
    if ((upload->current && !hand_over(upload, error)) || !vimg_oss_upload_flush(upload, error))
        return FALSE;
    return check_end(upload, error) &&
           vimg_oss_complete(upload->oss, upload->rules, upload->id, upload->parts, out, error);
}

void
vimg_oss_upload_settle(VimgOssUpload *upload)
{
    vimg_sums_settle(upload->sums);
}

guint64
vimg_oss_upload_position(VimgOssUpload *upload)
{
    LOCK_GUARD(&upload->lock);
    guint64 position = 0;
    guint i;

    for (i = 0; i < upload->parts->len; i++) {
        const VimgOssPart *part = &g_array_index(upload->parts, VimgOssPart, i);

        if (part->number == 0 || part->size != upload->rules->part_size)
            break;
        position += part->size;
    }
    return position;
}

const char *
vimg_oss_upload_id(const VimgOssUpload *upload)
{
    return upload->id;
}

/* ---- beginning and end ---- */

/* What the storage has of it, by number. */
static gboolean
look(VimgOssUpload *upload, GError **error)
{
    const VimgOssUploadRules *rules = upload->rules;
    g_autoptr(GArray) listed = g_array_new(FALSE, TRUE, sizeof(VimgOssPart));
    guint i;

    if (!vimg_oss_list_parts(upload->oss, rules->key, rules->id, listed, rules->patience, error))
        return FALSE;
    for (i = 0; i < listed->len; i++) {
        const VimgOssPart *part = &g_array_index(listed, VimgOssPart, i);

        if (upload->parts->len < part->number)
            g_array_set_size(upload->parts, part->number);
        g_array_index(upload->parts, VimgOssPart, part->number - 1) = *part;
    }
    if (rules->offset % rules->part_size == 0 && rules->offset <= vimg_oss_upload_position(upload))
        return TRUE;
    return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                       _("an upload can be taken up at byte %llu or before"),
                       ULL(vimg_oss_upload_position(upload)));
}

static gboolean
begin(VimgOssUpload *upload, GError **error)
{
    const VimgOssUploadRules *rules = upload->rules;

    if (rules->part_size < VIMG_OSS_PART_MIN || rules->part_size > PART_MOST ||
        (vimg_oss_is_s3(upload->oss) && rules->part_size < VIMG_OSS_PART_MIN_S3))
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("parts of %llu bytes are none the object storage takes"),
                           ULL(rules->part_size));
    if (!reserve(upload, error))
        return FALSE;
    upload->most = upload->limit + upload->ahead;
    upload->sums = vimg_sums_new(upload->most, on_sum, NULL);
    upload->id = rules->id ? g_strdup(rules->id) : vimg_oss_initiate(upload->oss, rules, error);
    if (!upload->id || (rules->id && !look(upload, error)))
        return FALSE;
    upload->length = rules->offset;
    upload->number = (guint)(rules->offset / rules->part_size) + 1;
    return TRUE;
}

VimgOssUpload *
vimg_oss_upload_begin(VimgOss *oss, const VimgOssUploadRules *rules, GError **error)
{
    g_autoptr(VimgOssUpload) upload = g_new0(VimgOssUpload, 1);
    guint workers = rules->workers > 0 ? rules->workers : VIMG_OSS_WORKERS;

    upload->oss = oss;
    upload->rules = rules;
    upload->limit = MIN(workers, VIMG_OSS_WORKERS_MAX);
    upload->patience = (VimgPatience){
        .cancelled = is_over,
        .data = upload,
        .deadline = rules->patience ? rules->patience->deadline : 0,
    };
    upload->parts = g_array_new(FALSE, TRUE, sizeof(VimgOssPart));
    upload->threads = g_new0(pthread_t, upload->limit);
    thread_must(pthread_mutex_init(&upload->lock, NULL));
    thread_must(pthread_cond_init(&upload->work, NULL));
    thread_must(pthread_cond_init(&upload->room, NULL));
    return begin(upload, error) ? g_steal_pointer(&upload) : NULL;
}

static void
buffer_free(gpointer data)
{
    vimg_buffer_unref(data);
}

void
vimg_oss_upload_free(VimgOssUpload *upload)
{
    guint i;

    if (!upload)
        return;
    __atomic_store_n(&upload->stop, 1, __ATOMIC_RELEASE);
    {
        LOCK_GUARD(&upload->lock);

        upload->closing = TRUE;
        thread_must(pthread_cond_broadcast(&upload->work));
    }
    for (i = 0; i < upload->n_threads; i++)
        thread_must(pthread_join(upload->threads[i], NULL));
    vimg_sums_free(upload->sums);
    g_queue_clear_full(&upload->spare, buffer_free);
    g_queue_clear_full(&upload->tasks, task_free);
    __atomic_sub_fetch(&reserved, upload->reserved, __ATOMIC_RELAXED);
    pthread_cond_destroy(&upload->work);
    pthread_cond_destroy(&upload->room);
    pthread_mutex_destroy(&upload->lock);
    vimg_buffer_unref(upload->current);
    g_clear_error(&upload->failed);
    g_array_unref(upload->parts);
    g_free(upload->threads);
    g_free(upload->id);
    g_free(upload);
}
