/*
 * protocol.c: what the daemon and its export server say to each other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "exporter/protocol.h"

gboolean
vimg_exporter_question_check(const VimgExporterQuestion *question)
{
    if (question->offset > G_MAXINT64)
        return FALSE;
    if (question->what == VIMG_EXPORTER_LOOK || question->what == VIMG_EXPORTER_MAP)
        return (question->what == VIMG_EXPORTER_MAP || question->offset == 0) &&
               question->length == 0 && question->most == 0 && question->until == 0 &&
               question->place == VIMG_EXPORTER_NOWHERE;
    if (question->what == VIMG_EXPORTER_BEGIN)
        return question->offset == 0 && question->length <= VIMG_EXPORTER_REASON_MAX &&
               question->most == 0 && question->until == 0 &&
               question->place == VIMG_EXPORTER_NOWHERE;
    return question->what == VIMG_EXPORTER_READ && question->length > 0 && question->most > 0 &&
           question->most <= VIMG_EXPORTER_PIECE &&
           question->length <= G_MAXINT64 - question->offset &&
           question->until >= question->offset + question->length &&
           question->until <= G_MAXINT64 &&
           (question->place == VIMG_EXPORTER_NOWHERE ||
            question->place <= G_MAXINT64 - question->most);
}

gboolean
vimg_exporter_say_begin(int fd, const char *why)
{
    VimgExporterQuestion question = {.what = VIMG_EXPORTER_BEGIN, .place = VIMG_EXPORTER_NOWHERE};

    question.length = why ? strnlen(why, VIMG_EXPORTER_REASON_MAX) : 0;
    return vimg_exporter_send(fd, &question, sizeof(question), why, (gsize)question.length);
}

gboolean
vimg_exporter_answer_check(const VimgExporterAnswer *answer)
{
    if (answer->status >= VIMG_EXPORTER_N_STATUSES || answer->way >= VIMG_EXPORTER_N_WAYS)
        return FALSE;
    if (answer->status != VIMG_EXPORTER_OK)
        return answer->length == 0 && answer->way == VIMG_EXPORTER_SENT;
    return answer->length > 0 &&
           answer->length <=
               (answer->way == VIMG_EXPORTER_ZEROS ? G_MAXINT64 : VIMG_EXPORTER_PIECE);
}

static gboolean
is_text(const char *text, gsize size)
{
    return memchr(text, '\0', size) && g_utf8_validate(text, -1, NULL);
}

#define IS_TEXT(member) is_text(member, sizeof(member))

gboolean
vimg_exporter_info_check(const VimgExporterInfo *info)
{
    return info->size <= G_MAXINT64 && info->capacity <= G_MAXINT64 && IS_TEXT(info->format) &&
           IS_TEXT(info->file) && *info->file && !strchr(info->file, '/') && IS_TEXT(info->etag) &&
           IS_TEXT(info->sha256);
}

gboolean
vimg_exporter_receive(int fd, gpointer data, gsize size)
{
    guint8 *at = data;

    while (size > 0) {
        ssize_t n = recv(fd, at, size, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
        at += n;
        size -= (gsize)n;
    }
    return TRUE;
}

gboolean
vimg_exporter_send(int fd, gconstpointer head, gsize head_size, gconstpointer data, gsize size)
{
    struct iovec iov[] = {{(gpointer)head, head_size}, {(gpointer)data, size}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = G_N_ELEMENTS(iov)};

    while (iov[0].iov_len + iov[1].iov_len > 0) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        for (gsize i = 0; i < G_N_ELEMENTS(iov); i++) {
            gsize part = MIN((gsize)n, iov[i].iov_len);

            if (part == 0)
                continue;
            iov[i].iov_base = (guint8 *)iov[i].iov_base + part;
            iov[i].iov_len -= part;
            n -= (ssize_t)part;
        }
    }
    return TRUE;
}
