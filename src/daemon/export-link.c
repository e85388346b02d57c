/*
 * export-link.c: the daemon's side of what it and an export server say to each other
 *
 * One thread reads questions, it or workers find the answers, one thread sends them.  What asks may
 * have been taken over: its questions are checked, those that wait are counted, and beyond so many
 * nothing more is read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/export-link.h"
#include "daemon/nbd-file.h"
#include "exporter/protocol.h"
#include "util/file.h"
#include "util/log.h"

#define BYTES_MAX                                                                                  \
    ((gsize)32 * 1024 * 1024) /* of answers that nobody takes; then none are asked                 \
                               */

G_STATIC_ASSERT(VIMG_EXPORTER_HASH_SIZE == VIMG_EXPORT_HASH_SIZE);

struct _VimgExportLink {
    gint refs;
    int fd;
    VimgModel *model;
    VimgWorkers *workers;
    gboolean limited; /* to the export of @only */
    gboolean begun;   /* it has said so; of the reader */
    guint8 only[VIMG_EXPORT_HASH_SIZE];
    int file_fd; /* -1: none */
    guint64 room;
    void (*begin)(const char *why, gpointer data); /* NULL: nobody is told */
    gpointer data;
    VimgThread reader, writer;

    VimgMutex lock;
    VimgCond changed;
    GQueue answers; /* of Answer, to be sent */
    guint waiting;  /* questions that are not answered yet */
    gsize bytes;    /* of @answers */
    gboolean broken;
    gboolean closed;
};

typedef struct {
    VimgExportLink *link; /* a reference */
    VimgExporterQuestion question;
} Task;

typedef struct {
    VimgExporterAnswer head;
    VimgBuffer *data; /* may be NULL */
    gsize offset;
    gsize size;
} Answer;

static void
answer_free(Answer *answer)
{
    vimg_buffer_unref(answer->data);
    g_free(answer);
}

static void
unref(VimgExportLink *link)
{
    if (__atomic_sub_fetch(&link->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    g_queue_clear_full(&link->answers, (GDestroyNotify)answer_free);
    vimg_cond_clear(&link->changed);
    vimg_mutex_clear(&link->lock);
    close(link->fd);
    if (link->file_fd >= 0)
        close(link->file_fd);
    g_free(link);
}

/* ---- answers ------------------------------------------------------------------------------ */

/* What @error means for whoever downloads; why is for the log alone. */
static VimgExporterStatus
status_of(const GError *error)
{
    static const VimgErrorCode later[] = {VIMG_ERROR_DISCONNECTED, VIMG_ERROR_BUSY,
                                          VIMG_ERROR_OPERATION_INVALID, VIMG_ERROR_NO_POOL,
                                          VIMG_ERROR_ABORTED};

    for (gsize i = 0; i < G_N_ELEMENTS(later); i++) {
        if (g_error_matches(error, VIMG_ERROR, (gint)later[i]))
            return VIMG_EXPORTER_BUSY;
    }
    vimg_warning("an export cannot be read: %s", error->message);
    return VIMG_EXPORTER_FAILED;
}

/* The same content has the same one, in whichever export, and what an image holds once it was
 * wiped and filled anew has another; it tells nothing else of the image. */
static void
make_etag(const VimgExportInfo *info, char *out, gsize size)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);

    g_checksum_update(sum, (const guchar *)info->image_uuid, -1);
    g_checksum_update(sum, (const guchar *)info->format, -1);
    g_checksum_update(sum, (const guchar *)info->file, -1);
    g_checksum_update(sum, (const guchar *)"", 1);
    if (info->generation)
        g_checksum_update(sum, (const guchar *)info->generation, -1);
    g_snprintf(out, size, "%.32s", g_checksum_get_string(sum));
    g_checksum_free(sum);
}

static VimgBuffer *
make_info(const VimgExportInfo *info)
{
    VimgBuffer *buffer = vimg_buffer_new(sizeof(VimgExporterInfo));
    VimgExporterInfo out = {.size = info->size,
                            .capacity = info->capacity,
                            .created = info->created,
                            .expires = info->expires,
                            .compress = info->compress != 0};

    g_strlcpy(out.format, info->format, sizeof(out.format));
    g_strlcpy(out.file, info->file, sizeof(out.file));
    g_strlcpy(out.sha256, info->sha256 ? info->sha256 : "", sizeof(out.sha256));
    make_etag(info, out.etag, sizeof(out.etag));
    memcpy(buffer->data, &out, sizeof(out));
    return buffer;
}

static void
look(VimgExportLink *link, const VimgExporterQuestion *question, Answer *out)
{
    static const VimgExporterStatus statuses[] = {
        [VIMG_EXPORT_LIVE] = VIMG_EXPORTER_OK,
        [VIMG_EXPORT_AWAY] = VIMG_EXPORTER_BUSY,
        [VIMG_EXPORT_ENDED] = VIMG_EXPORTER_ENDED,
        [VIMG_EXPORT_ABSENT] = VIMG_EXPORTER_ABSENT,
    };
    g_autoptr(VimgExportInfo) info = NULL;

    out->head.status = statuses[vimg_model_export_find(link->model, question->hash, &info)];
    if (out->head.status != VIMG_EXPORTER_OK)
        return;
    out->data = make_info(info);
    out->size = out->data->size;
    out->head.length = out->size;
}

/* Whoever asks may have made holes: below its size, too, a file takes of the disk. */
static gboolean
has_room(const VimgExportLink *link, guint64 length)
{
    struct stat info;

    return fstat(link->file_fd, &info) == 0 && (guint64)info.st_size <= link->room &&
           vimg_nbd_file_spare(link->file_fd) >= length;
}

/* Returns: whether it is where the question wants it, and need not be sent. */
static gboolean
place(const VimgExportLink *link, guint64 place, const VimgExtent *extent)
{
    return place != VIMG_EXPORTER_NOWHERE && has_room(link, extent->length) &&
           vimg_pwrite_all(link->file_fd, extent->data->data + extent->offset,
                           (gsize)extent->length, place) == 0;
}

static void
read_piece(VimgExportLink *link, const VimgExporterQuestion *question, Answer *out)
{
    const VimgExportPart part = {question->offset, question->length, question->until,
                                 (gsize)question->most};
    g_autoptr(GError) error = NULL;
    VimgExtent extent;

    if (!vimg_model_export_read(link->model, question->hash, &part, &extent, &error)) {
        out->head.status = status_of(error);
        return;
    }
    out->head.length = extent.length;
    if (!extent.data) {
        out->head.way = VIMG_EXPORTER_ZEROS;
    } else if (place(link, question->place, &extent)) {
        out->head.way = VIMG_EXPORTER_PLACED;
        vimg_buffer_unref(extent.data);
    } else {
        out->data = extent.data;
        out->offset = extent.offset;
        out->size = (gsize)extent.length;
    }
}

/* To the end, or as many as an answer has. */
static void
map(VimgExportLink *link, const VimgExporterQuestion *question, Answer *out)
{
    g_autoptr(GArray) said = g_array_new(FALSE, FALSE, sizeof(VimgExporterExtent));
    g_autoptr(GError) error = NULL;
    guint64 offset = question->offset;
    VimgExportExtent extent;

    while (said->len < VIMG_EXPORTER_EXTENTS_MAX &&
           vimg_model_export_map(link->model, question->hash, offset, &extent, &error)) {
        VimgExporterExtent next = {.length = extent.length, .zeros = extent.zeros != 0};

        g_array_append_val(said, next);
        offset += extent.length;
    }
    if (said->len == 0) {
        out->head.status = status_of(error);
        return;
    }
    out->head.length = out->size = said->len * sizeof(VimgExporterExtent);
    out->data = vimg_buffer_new(out->size);
    memcpy(out->data->data, said->data, out->size);
}

/* What one that has ended had asked is not read: it would be in the way of the next one. */
static gboolean
is_heard(VimgExportLink *link)
{
    VIMG_LOCK_GUARD(&link->lock);
    return !link->broken && !link->closed;
}

static void
answer_task(const Task *task)
{
    VimgExportLink *link = task->link;
    static void (*const answers[])(VimgExportLink *, const VimgExporterQuestion *, Answer *) = {
        [VIMG_EXPORTER_LOOK] = look,
        [VIMG_EXPORTER_READ] = read_piece,
        [VIMG_EXPORTER_MAP] = map,
    };
    Answer *answer = g_new0(Answer, 1);

    answer->head.number = task->question.number;
    answers[task->question.what](link, &task->question, answer);
    VIMG_LOCK_GUARD(&link->lock);
    g_queue_push_tail(&link->answers, answer);
    link->bytes += answer->data ? answer->data->size : 0;
    vimg_cond_broadcast(&link->changed);
}

static void
run_task(gpointer data)
{
    g_autofree Task *task = data;

    if (is_heard(task->link))
        answer_task(task);
    unref(task->link);
}

/* ---- threads ------------------------------------------------------------------------------ */

/* Waits until one more question may be read.  FALSE: the link is closed. */
static gboolean
wait_for_room(VimgExportLink *link)
{
    VIMG_LOCK_GUARD(&link->lock);
    while ((link->waiting >= VIMG_EXPORTER_WAITING_MAX || link->bytes >= BYTES_MAX) &&
           !link->closed)
        vimg_cond_wait(&link->changed, &link->lock);
    if (!link->closed)
        link->waiting++;
    return !link->closed;
}

static gboolean
check(const VimgExportLink *link, const VimgExporterQuestion *question)
{
    return vimg_exporter_question_check(question) &&
           (question->place == VIMG_EXPORTER_NOWHERE ||
            (link->file_fd >= 0 && question->place + question->most <= link->room));
}

/* A line of what is shown as it is: no controls, no directions, no breaks. */
static char *
make_printable(const char *text)
{
    GString *line = g_string_new(NULL);

    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        g_string_append_unichar(line, g_unichar_isprint(c) && !g_unichar_isspace(c) ? c : ' ');
    }
    return g_string_free(line, FALSE);
}

/* Once: each is a line of a log, and what everybody who exports is told. */
static gboolean
hear_begin(VimgExportLink *link, gsize size)
{
    char why[VIMG_EXPORTER_REASON_MAX + 1] = "";
    g_autofree char *line = NULL;

    if (!link->begin || link->begun || !vimg_exporter_receive(link->fd, why, size) ||
        !g_utf8_validate(why, (gssize)size, NULL))
        return FALSE;
    link->begun = TRUE;
    line = make_printable(why);
    link->begin(size > 0 ? line : NULL, link->data);
    VIMG_LOCK_GUARD(&link->lock);
    link->waiting--;
    return TRUE;
}

static void
begin_answer(VimgExportLink *link, const VimgExporterQuestion *question)
{
    Task *task = g_new0(Task, 1);

    task->question = *question;
    if (link->limited)
        memcpy(task->question.hash, link->only, sizeof(link->only));
    task->link = link;
    __atomic_add_fetch(&link->refs, 1, __ATOMIC_RELAXED);
    /* from memory: a storage that hangs is not in its way */
    if (question->what == VIMG_EXPORTER_READ)
        vimg_workers_push(link->workers, run_task, task);
    else
        run_task(task);
}

/* FALSE: nobody says anything more, or what may not be said. */
static gboolean
read_question(VimgExportLink *link)
{
    VimgExporterQuestion question;

    if (!vimg_exporter_receive(link->fd, &question, sizeof(question)) || !check(link, &question))
        return FALSE;
    if (question.what == VIMG_EXPORTER_BEGIN)
        return hear_begin(link, (gsize)question.length);
    begin_answer(link, &question);
    return TRUE;
}

static void
read_questions(gpointer data)
{
    VimgExportLink *link = data;

    while (wait_for_room(link) && read_question(link))
        ;
    vimg_mutex_lock(&link->lock);
    link->broken = TRUE;
    vimg_cond_broadcast(&link->changed);
    vimg_mutex_unlock(&link->lock);
    shutdown(link->fd, SHUT_RDWR); /* it ends, and another is started */
}

/* Returns: (transfer full) NULL once the link is closed */
static Answer *
next_answer(VimgExportLink *link)
{
    Answer *answer = NULL;

    VIMG_LOCK_GUARD(&link->lock);
    while (!link->closed && !(answer = g_queue_pop_head(&link->answers)))
        vimg_cond_wait(&link->changed, &link->lock);
    if (answer) {
        link->waiting--;
        link->bytes -= answer->data ? answer->data->size : 0;
    }
    vimg_cond_broadcast(&link->changed);
    return answer;
}

static void
send_answers(gpointer data)
{
    VimgExportLink *link = data;
    Answer *answer;

    while ((answer = next_answer(link))) {
        const guint8 *bytes = answer->data ? answer->data->data + answer->offset : NULL;

        vimg_exporter_send(link->fd, &answer->head, sizeof(answer->head), bytes, answer->size);
        answer_free(answer);
    }
}

/* ---- life --------------------------------------------------------------------------------- */

static void
mark_closed(VimgExportLink *link)
{
    vimg_mutex_lock(&link->lock);
    link->closed = TRUE;
    vimg_cond_broadcast(&link->changed);
    vimg_mutex_unlock(&link->lock);
    shutdown(link->fd, SHUT_RDWR);
}

VimgExportLink *
vimg_export_link_new(int fd, VimgModel *model, VimgWorkers *workers,
                     const VimgExportLinkOptions *options, GError **error)
{
    VimgExportLink *link = g_new0(VimgExportLink, 1);

    link->refs = 1;
    link->fd = fd;
    link->model = model;
    link->workers = workers;
    link->limited = options->only != NULL;
    link->file_fd = options->file_fd;
    link->room = options->room;
    link->begin = options->begin;
    link->data = options->data;
    if (options->only)
        memcpy(link->only, options->only, sizeof(link->only));
    g_queue_init(&link->answers);
    vimg_mutex_init(&link->lock);
    vimg_cond_init(&link->changed);
    if (!vimg_thread_start(&link->reader, "vimg-questions", read_questions, link, error)) {
        unref(link);
        return NULL;
    }
    if (vimg_thread_start(&link->writer, "vimg-answers", send_answers, link, error))
        return link;
    mark_closed(link);
    vimg_thread_join(link->reader);
    unref(link);
    return NULL;
}

gboolean
vimg_export_link_is_broken(VimgExportLink *link)
{
    VIMG_LOCK_GUARD(&link->lock);
    return link->broken;
}

void
vimg_export_link_close(VimgExportLink *link)
{
    if (!link)
        return;
    mark_closed(link);
    vimg_thread_join(link->reader);
    vimg_thread_join(link->writer);
    unref(link);
}
