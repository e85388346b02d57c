/*
 * link.c: the export server's side of what it and the daemon say to each other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "exporter/link.h"
#include "util/thread.h"

/* One that asked; its own, on its stack. */
typedef struct {
    VimgExporterQuestion question;
    gpointer out;
    gsize room;
    VimgExporterAnswer answer;
    gboolean answered; /* under lock */
    VimgCond changed;
} Waiter;

struct _VimgExporterLink {
    int fd;
    VimgMutex send_lock; /* orders questions, which are small */

    VimgMutex lock;
    GHashTable *waiters; /* number → Waiter, borrowed */
    guint32 last;
    VimgCond room; /* for one more */
};

/* Without the daemon there is nothing to serve, and nobody to tell. */
static void
lose(void)
{
    _exit(1);
}

static Waiter *
find_waiter(VimgExporterLink *link, guint32 number)
{
    VIMG_LOCK_GUARD(&link->lock);
    return g_hash_table_lookup(link->waiters, GUINT_TO_POINTER(number));
}

static gboolean
is_expected(const Waiter *waiter, const VimgExporterAnswer *answer)
{
    if (answer->way == VIMG_EXPORTER_SENT)
        return answer->length <= waiter->room;
    return waiter->question.what == VIMG_EXPORTER_READ &&
           (answer->way == VIMG_EXPORTER_ZEROS ||
            (waiter->question.place != VIMG_EXPORTER_NOWHERE && answer->length <= waiter->room));
}

/* What the daemon says goes where it was asked from, without a stop between. */
static gboolean
take_answer(VimgExporterLink *link)
{
    VimgExporterAnswer answer;
    Waiter *waiter;

    if (!vimg_exporter_receive(link->fd, &answer, sizeof(answer)) ||
        !vimg_exporter_answer_check(&answer))
        return FALSE;
    waiter = find_waiter(link, answer.number);
    if (!waiter)
        return FALSE;
    if (!is_expected(waiter, &answer) ||
        (answer.way == VIMG_EXPORTER_SENT &&
         !vimg_exporter_receive(link->fd, waiter->out, (gsize)answer.length)))
        return FALSE;
    waiter->answer = answer;
    VIMG_LOCK_GUARD(&link->lock);
    waiter->answered = TRUE;
    vimg_cond_signal(&waiter->changed);
    return TRUE;
}

static void
take_answers(gpointer data)
{
    VimgExporterLink *link = data;

    while (take_answer(link))
        ;
    lose();
}

VimgExporterLink *
vimg_exporter_link_new(int fd, GError **error)
{
    VimgExporterLink *link = g_new0(VimgExporterLink, 1);

    link->fd = fd;
    vimg_mutex_init(&link->send_lock);
    vimg_mutex_init(&link->lock);
    vimg_cond_init(&link->room);
    link->waiters = g_hash_table_new(NULL, NULL);
    if (vimg_thread_start_detached("vimg-answers", take_answers, link, error))
        return link;
    g_hash_table_unref(link->waiters);
    g_free(link);
    return NULL;
}

void
vimg_exporter_link_begin(VimgExporterLink *link)
{
    VIMG_LOCK_GUARD(&link->send_lock);
    if (!vimg_exporter_say_begin(link->fd, NULL))
        lose();
}

/* ---- asking ------------------------------------------------------------------------------- */

/* The daemon reads questions whether or not it has answered, up to a number that is not passed. */
static void
begin(VimgExporterLink *link, Waiter *waiter)
{
    vimg_cond_init(&waiter->changed);
    VIMG_LOCK_GUARD(&link->lock);
    while (g_hash_table_size(link->waiters) >= VIMG_EXPORTER_WAITING_MAX)
        vimg_cond_wait(&link->room, &link->lock);
    do
        link->last++;
    while (g_hash_table_contains(link->waiters, GUINT_TO_POINTER(link->last)));
    waiter->question.number = link->last;
    g_hash_table_insert(link->waiters, GUINT_TO_POINTER(link->last), waiter);
}

static void
say(VimgExporterLink *link, const Waiter *waiter)
{
    VIMG_LOCK_GUARD(&link->send_lock);
    if (!vimg_exporter_send(link->fd, &waiter->question, sizeof(waiter->question), NULL, 0))
        lose();
}

static void
wait_for(VimgExporterLink *link, Waiter *waiter)
{
    vimg_mutex_lock(&link->lock);
    while (!waiter->answered)
        vimg_cond_wait(&waiter->changed, &link->lock);
    g_hash_table_remove(link->waiters, GUINT_TO_POINTER(waiter->question.number));
    vimg_cond_signal(&link->room);
    vimg_mutex_unlock(&link->lock);
    vimg_cond_clear(&waiter->changed);
}

static VimgExporterStatus
ask(VimgExporterLink *link, Waiter *waiter, const guint8 *hash)
{
    memcpy(waiter->question.hash, hash, sizeof(waiter->question.hash));
    begin(link, waiter);
    say(link, waiter);
    wait_for(link, waiter);
    return waiter->answer.status;
}

VimgExporterStatus
vimg_exporter_link_look(VimgExporterLink *link, const guint8 *hash, VimgExporterInfo *out)
{
    Waiter waiter = {.out = out, .room = sizeof(*out)};
    VimgExporterStatus status;

    waiter.question.what = VIMG_EXPORTER_LOOK;
    waiter.question.place = VIMG_EXPORTER_NOWHERE;
    status = ask(link, &waiter, hash);
    if (status == VIMG_EXPORTER_OK &&
        (waiter.answer.length != sizeof(*out) || !vimg_exporter_info_check(out)))
        lose();
    return status;
}

VimgExporterStatus
vimg_exporter_link_map(VimgExporterLink *link, const guint8 *hash, guint64 offset,
                       VimgExporterExtent *out, guint *n)
{
    Waiter waiter = {.out = out, .room = VIMG_EXPORTER_EXTENTS_MAX * sizeof(*out)};
    VimgExporterStatus status;

    waiter.question.what = VIMG_EXPORTER_MAP;
    waiter.question.place = VIMG_EXPORTER_NOWHERE;
    waiter.question.offset = offset;
    status = ask(link, &waiter, hash);
    *n = (guint)(waiter.answer.length / sizeof(*out));
    if (status == VIMG_EXPORTER_OK && waiter.answer.length % sizeof(*out) != 0)
        lose();
    for (guint i = 0; i < *n; i++) {
        if (out[i].length == 0 || out[i].length > G_MAXINT64 - offset)
            lose();
        offset += out[i].length;
    }
    return status;
}

VimgExporterStatus
vimg_exporter_link_read(VimgExporterLink *link, const guint8 *hash, const VimgExporterRead *read,
                        guint64 *got, VimgExporterWay *way)
{
    Waiter waiter = {.out = read->out, .room = MIN(read->most, VIMG_EXPORTER_PIECE)};
    VimgExporterStatus status;

    waiter.question.what = VIMG_EXPORTER_READ;
    waiter.question.offset = read->offset;
    waiter.question.length = read->length;
    waiter.question.most = waiter.room;
    waiter.question.place = read->place;
    waiter.question.until = MAX(read->until, read->offset + read->length);
    status = ask(link, &waiter, hash);
    *got = waiter.answer.length;
    *way = waiter.answer.way;
    if (status == VIMG_EXPORTER_OK && *got > read->length)
        lose();
    return status;
}
