/*
 * machine-undo.c: the process that undoes what a command did not finish
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/ctl.h"
#include "cli/daemon.h"
#include "cli/machine-undo.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

#define PATIENCE (30 * G_USEC_PER_SEC) /* of the command with its end */
#define TRIES_FOR (600 * G_USEC_PER_SEC)
#define PAUSE_FIRST (G_USEC_PER_SEC / 8)
#define PAUSE_MAX (5 * G_USEC_PER_SEC)
#define LINE_MAX_BYTES 8192
#define FIRST_FD 3

struct _VimgUndo {
    int fd;
    pid_t child;
    GString *together; /* lines that are to be told as one; NULL: each is told at once */
};

/* ---- the other process ------------------------------------------------------------------ */

/* What is told: lines of things, of which those between "(" and ")" count when the last has come.
 */
typedef struct {
    GPtrArray *list;     /* "KIND\twhat…", in the order in which they came */
    GPtrArray *together; /* lines; NULL: none is waited for */
} Told;

/* Whether the guest waits for it, which is not to wait for any daemon of ours in turn. */
static gboolean
is_urgent(guint64 kind)
{
    return kind == VIMG_UNDO_PAUSE || kind == VIMG_UNDO_FREEZE;
}

static gboolean
is_urgent_line(const char *line)
{
    guint64 kind;
    g_auto(GStrv) words = g_strsplit(line, "\t", 2);

    return g_ascii_string_to_unsigned(words[0], 10, 0, VIMG_N_UNDO - 1, &kind, NULL) &&
           is_urgent(kind);
}

static gboolean
any_urgent(GPtrArray *list)
{
    for (guint i = 0; i < list->len; i++)
        if (is_urgent_line(list->pdata[i]))
            return TRUE;
    return FALSE;
}

static void
keep_urgent(GPtrArray *list)
{
    for (guint i = list->len; i > 0; i--)
        if (!is_urgent_line(list->pdata[i - 1]))
            g_ptr_array_remove_index(list, i - 1);
}

static void
take_one(GPtrArray *list, const char *line)
{
    guint at;

    if (*line == '+') {
        g_ptr_array_add(list, g_strdup(line + 1));
    } else if (*line == '-' && g_ptr_array_find_with_equal_func(list, line + 1, g_str_equal, &at)) {
        g_ptr_array_remove_index(list, at);
    } else if (*line == '.') {
        keep_urgent(list);
    }
}

static void
take_line(Told *told, const char *line)
{
    if (*line == '(') {
        told->together = g_ptr_array_new_with_free_func(g_free);
    } else if (*line == ')' && told->together) {
        for (guint i = 0; i < told->together->len; i++)
            take_one(told->list, told->together->pdata[i]);
        g_clear_pointer(&told->together, g_ptr_array_unref);
    } else if (told->together) {
        g_ptr_array_add(told->together, g_strdup(line));
    } else {
        take_one(told->list, line);
    }
}

/* Returns when there is nobody any more who could write. */
static void
listen_until_end(int fd, GPtrArray *list)
{
    Told told = {list, NULL};
    FILE *in = fdopen(fd, "r");
    char line[LINE_MAX_BYTES];

    while (in && fgets(line, sizeof(line), in)) {
        char *end = strchr(line, '\n');

        if (!end)
            break; /* half a line: what it is about was not begun */
        *end = '\0';
        take_line(&told, line);
    }
}

/* What is not as @urgent stays.  *@line: is said more exactly, as the step found. */
static gboolean
undo_one(VimgUndoContext *context, char **line, gboolean urgent, gboolean *in_use)
{
    g_auto(GStrv) words = g_strsplit(*line, "\t", -1);
    guint64 kind;

    if (!g_ascii_string_to_unsigned(words[0], 10, 0, VIMG_N_UNDO - 1, &kind, NULL))
        return TRUE;
    if (is_urgent(kind) != urgent)
        return FALSE;
    if (*in_use && (kind == VIMG_UNDO_FILE || kind == VIMG_UNDO_VOLUME))
        return FALSE;
    if (vimg_undo_step(context, (VimgUndoKind)kind, words + 1, NULL))
        return TRUE;
    *in_use = *in_use || kind == VIMG_UNDO_DOMAIN || kind == VIMG_UNDO_RENAME;
    g_free(*line);
    *line = g_strjoinv("\t", words);
    return FALSE;
}

static void
undo_those(VimgUndoContext *context, GPtrArray *list, gboolean urgent)
{
    gboolean in_use = FALSE;

    for (guint i = list->len; i > 0; i--)
        if (undo_one(context, (char **)&list->pdata[i - 1], urgent, &in_use))
            g_ptr_array_remove_index(list, i - 1);
}

/* The last first: what was made upon another goes before it, and stays as long as that does. */
static gboolean
undo_all(VimgUndoContext *context, GPtrArray *list)
{
    undo_those(context, list, TRUE);
    undo_those(context, list, FALSE);
    /* a connection that was lost does not come back */
    g_clear_pointer(&context->ctl->daemon, vimg_daemon_close);
    return list->len == 0;
}

/* A guest that waits is let go whenever that becomes possible. */
static gboolean
undo_patiently(VimgUndoContext *context, GPtrArray *list)
{
    gint64 until = g_get_monotonic_time() + TRIES_FOR, pause = PAUSE_FIRST;

    while (!undo_all(context, list)) {
        if (g_get_monotonic_time() > until && !any_urgent(list))
            return FALSE;
        g_usleep((gulong)pause);
        pause = MIN(pause * 2, PAUSE_MAX);
    }
    return TRUE;
}

/* It is of no terminal, holds nothing open that others wait for the end of, and nobody kills it in
 * passing. */
static void
detach(int *fd, int *lock)
{
    int null = open("/dev/null", O_RDWR);

    setsid();
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    for (int i = 0; i < FIRST_FD; i++)
        dup2(null, i);
    /* to where nothing is that dup2() would close: above both */
    *fd = fcntl(*fd, F_DUPFD, MAX(*fd, *lock) + 1);
    dup2(*lock, FIRST_FD);
    *lock = FIRST_FD;
    dup2(*fd, FIRST_FD + 1);
    *fd = FIRST_FD + 1;
    close_range(FIRST_FD + 2, ~0U, 0);
}

static G_GNUC_NORETURN void
serve(VimgCtl *ctl, const char *machines, const char *uuid, int fd, int lock)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    VimgCtl own = *ctl;
    VimgUndoContext context = {&own, machines, uuid};

    own.daemon = NULL;
    own.progress = VIMG_PROGRESS_NONE;
    detach(&fd, &lock);
    listen_until_end(fd, list);
    _exit(undo_patiently(&context, list) ? 0 : 1);
}

/* ---- what of it is done by the daemon --------------------------------------------------- */

void
vimg_undo_bind(VimgCtl *ctl)
{
    /* one that does not know of it is older, and goes on */
    vimg_ctl_call(ctl, VIMG_CONTROL_JOB_BIND, NULL, NULL, NULL, NULL, NULL);
}

/* ---- the command ------------------------------------------------------------------------ */

VimgUndo *
vimg_undo_new(VimgCtl *ctl, const char *machines, const char *uuid, int lock, GError **error)
{
    VimgUndo *undo;
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        vimg_throw_errno(error, "pipe");
        return NULL;
    }
    child = fork();
    if (child == 0)
        serve(ctl, machines, uuid, ends[0], lock);
    close(ends[0]);
    if (child < 0) {
        vimg_throw_errno(error, "fork");
        close(ends[1]);
        return NULL;
    }
    undo = g_new0(VimgUndo, 1);
    *undo = (VimgUndo){ends[1], child, NULL};
    return undo;
}

static gboolean
say(VimgUndo *undo, const char *line, GError **error)
{
    if (undo->together) {
        g_string_append(undo->together, line);
        return TRUE;
    }
    return vimg_write_all(undo->fd, line, strlen(line)) == 0 ||
           vimg_throw_errno(error, "%s", _("what undoes a failure has ended"));
}

static gboolean
tell(VimgUndo *undo, char what, VimgUndoKind kind, const char *first, va_list args, GError **error)
{
    g_autoptr(GString) line = g_string_new(NULL);

    g_string_printf(line, "%c%d", what, (int)kind);
    for (const char *text = first; text; text = va_arg(args, const char *))
        g_string_append_printf(line, "\t%s", text);
    g_string_append_c(line, '\n');
    if (line->len >= LINE_MAX_BYTES || strchr(line->str, '\n') != line->str + line->len - 1)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("'%s' is no name"), first);
    return say(undo, line->str, error);
}

gboolean
vimg_undo_add(VimgUndo *undo, VimgUndoKind kind, GError **error, const char *what, ...)
{
    va_list args;
    gboolean ok;

    va_start(args, what);
    ok = tell(undo, '+', kind, what, args, error);
    va_end(args);
    return ok;
}

void
vimg_undo_drop(VimgUndo *undo, VimgUndoKind kind, const char *what, ...)
{
    va_list args;

    va_start(args, what);
    tell(undo, '-', kind, what, args, NULL);
    va_end(args);
}

void
vimg_undo_keep(VimgUndo *undo)
{
    say(undo, ".\n", NULL);
}

void
vimg_undo_gather(VimgUndo *undo)
{
    undo->together = g_string_new("(\n");
}

gboolean
vimg_undo_tell(VimgUndo *undo, GError **error)
{
    g_autoptr(GString) lines = g_steal_pointer(&undo->together);

    g_string_append(lines, ")\n");
    return say(undo, lines->str, error);
}

gboolean
vimg_undo_end(VimgUndo *undo)
{
    gint64 until = g_get_monotonic_time() + PATIENCE;
    int status = 0;
    pid_t ended = 0;

    if (!undo)
        return TRUE;
    close(undo->fd);
    if (undo->together)
        g_string_free(undo->together, TRUE);
    while (ended == 0 && g_get_monotonic_time() < until) {
        ended = waitpid(undo->child, &status, WNOHANG);
        if (ended == 0)
            g_usleep(G_USEC_PER_SEC / 200);
    }
    g_free(undo);
    return ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
