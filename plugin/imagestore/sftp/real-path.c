/*
 * real-path.c: where a path leads on a server
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "location.h"
#include "real-path.h"
#include "thread.h"
#include "throw.h"

#define PATIENCE (30 * G_USEC_PER_SEC)

/* One question, which outlives whoever gave up waiting. */
typedef struct {
    VimgSftpRequest request;
    gint refs; /* through __atomic builtins: of who asks and of the session */
    char *path;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gboolean answered; /* this and what follows under lock */
    gboolean lost;
    char *real; /* NULL: there is nothing */
} Question;

typedef struct {
    VimgSftpSession *session;
    gboolean lost;
} Asker;

static void
question_unref(Question *question)
{
    if (__atomic_sub_fetch(&question->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pthread_cond_destroy(&question->changed);
    pthread_mutex_destroy(&question->lock);
    g_free(question->real);
    g_free(question->path);
    g_free(question);
}

static void
take_answer(VimgSftpRequest *request, const VimgSftpReply *reply)
{
    Question *question = request->owner;

    pthread_mutex_lock(&question->lock);
    question->answered = TRUE;
    question->lost = !reply;
    if (reply && reply->names && reply->names->len > 0)
        question->real = g_strdup(((VimgSftpName *)reply->names->pdata[0])->name);
    pthread_cond_signal(&question->changed);
    pthread_mutex_unlock(&question->lock);
    question_unref(question);
}

static Question *
question_new(const char *path)
{
    Question *question = g_new0(Question, 1);

    question->refs = 2;
    question->path = g_strdup(path);
    thread_must(pthread_mutex_init(&question->lock, NULL));
    cond_init(&question->changed);
    question->request = (VimgSftpRequest){
        .type = VIMG_SFTP_REALPATH, .path = question->path, .done = take_answer, .owner = question};
    return question;
}

/* A VimgRealPath.  A path that is not absolute would be one of the server's own choice. */
static char *
ask(const char *path, gpointer data)
{
    Asker *asker = data;
    gint64 deadline = g_get_monotonic_time() + PATIENCE;
    Question *question;
    char *real;

    if (asker->lost)
        return NULL;
    question = question_new(path);
    vimg_sftp_session_submit(asker->session, &question->request);
    pthread_mutex_lock(&question->lock);
    while (!question->answered && cond_wait_until(&question->changed, &question->lock, deadline))
        ;
    asker->lost = !question->answered || question->lost;
    real = g_steal_pointer(&question->real);
    pthread_mutex_unlock(&question->lock);
    question_unref(question);
    if (real && !g_path_is_absolute(real))
        g_clear_pointer(&real, g_free);
    return real;
}

char *
vimg_real_path(VimgSftpSession *session, const char *dir, GError **error)
{
    Asker asker = {.session = session};
    g_autofree char *resolved = vimg_location_resolve_by(dir, ask, &asker);
    g_autofree char *why = NULL;

    if (!asker.lost)
        return g_steal_pointer(&resolved);
    vimg_sftp_session_is_lost(session, &why);
    throw_error(error, VIMG_ERROR_DISCONNECTED, _("path '%1$s': %2$s"), dir,
                why ? why : g_strerror(ETIMEDOUT));
    return NULL;
}
