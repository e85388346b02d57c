/*
 * command.c: one command at the other end of a connection
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "ssh-private.h"

#define COMPLAINT_MAX 1024 /* bytes of what a command writes about its failure */

typedef struct {
    LIBSSH2_CHANNEL *channel;
    const char *name; /* of the program */
    VimgSsh *ssh;
} Command;

/* The user's shell at the other end takes the line apart again. */
static char *
quote(const char *const *argv)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (; *argv; argv++) {
        g_autofree char *word = g_shell_quote(*argv);

        g_string_append_printf(line, "%s%s", line->len > 0 ? " " : "", word);
    }
    return g_string_free(g_steal_pointer(&line), FALSE);
}

static gboolean
throw_command(GError **error, VimgErrorCode code, const Command *command, const char *why)
{
    g_set_error(error, VIMG_ERROR, (gint)code, _("command '%1$s' at %2$s failed: %3$s"),
                command->name, command->ssh->what, why);
    return FALSE;
}

/* Sets @error from what libssh2 said last. */
static gboolean
throw_lost(GError **error, const Command *command)
{
    g_autoptr(GError) local = NULL;

    vimg_ssh_throw_lost(&local, VIMG_SSH_CONNECT, command->ssh);
    return throw_command(error, VIMG_ERROR_DISCONNECTED, command, local->message);
}

/* All of @stream, at most @max bytes.  Returns: how many, -1: the connection was lost. */
static gssize
read_stream(Command *command, int stream, char *out, gsize max)
{
    gsize size = 0;

    while (size < max) {
        gssize n;

        VIMG_SSH_CALL(command->ssh, n,
                      libssh2_channel_read_ex(command->channel, stream, out + size, max - size));
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        size += (gsize)n;
    }
    return (gssize)size;
}

/* What the program said of its failure, as one line. */
static gboolean
throw_status(GError **error, Command *command, int status)
{
    char text[COMPLAINT_MAX + 1];
    gssize size = read_stream(command, SSH_EXTENDED_DATA_STDERR, text, COMPLAINT_MAX);
    g_autofree char *line = NULL;
    g_autofree char *why = NULL;

    text[MAX(size, 0)] = '\0';
    line = g_utf8_make_valid(text, -1);
    g_strstrip(g_strdelimit(line, "\t\n\v\f\r\033\177", ' '));
    why = *line ? g_strdup(line) : g_strdup_printf(_("exit status %d"), status);
    return throw_command(error, VIMG_ERROR_FAILED, command, why);
}

static gboolean
was_killed(Command *command)
{
    char *name = NULL;

    libssh2_channel_get_exit_signal(command->channel, &name, NULL, NULL, NULL, NULL, NULL);
    if (!name)
        return FALSE;
    libssh2_free(command->ssh->session, name);
    return TRUE;
}

/* The program ended, and so did the channel. */
static gboolean
wait_end(Command *command)
{
    int rc;

    VIMG_SSH_CALL(command->ssh, rc, libssh2_channel_wait_eof(command->channel));
    if (rc == 0)
        VIMG_SSH_CALL(command->ssh, rc, libssh2_channel_close(command->channel));
    if (rc == 0)
        VIMG_SSH_CALL(command->ssh, rc, libssh2_channel_wait_closed(command->channel));
    return rc == 0;
}

/* @out has one byte more than may come, which shows that there is more. */
static gboolean
run(Command *command, const char *line, VimgBuffer *out, GError **error)
{
    gssize size;
    int status;
    int rc;

    VIMG_SSH_CALL(
        command->ssh, rc,
        libssh2_channel_process_startup(command->channel, "exec", 4, line, (guint)strlen(line)));
    if (rc != 0)
        return throw_lost(error, command);
    size = read_stream(command, 0, (char *)out->data, out->size);
    if (size < 0)
        return throw_lost(error, command);
    if ((gsize)size == out->size)
        return throw_command(error, VIMG_ERROR_FAILED, command, _("it writes more than it may"));
    if (!wait_end(command))
        return throw_lost(error, command);
    status = libssh2_channel_get_exit_status(command->channel);
    if (status == 0 && was_killed(command))
        return throw_command(error, VIMG_ERROR_FAILED, command, _("it was killed by a signal"));
    if (status != 0)
        return throw_status(error, command, status);
    out->size = (gsize)size;
    return TRUE;
}

VimgBuffer *
vimg_ssh_run(VimgSsh *ssh, const char *const *argv, gsize max, guint seconds, GError **error)
{
    g_autofree char *line = quote(argv);
    Command command = {.name = argv[0], .ssh = ssh};
    VimgBuffer *out = vimg_buffer_new(max + 1);
    gboolean ok;
    int rc;

    ssh->secret = TRUE; /* it may write one */
    ssh->deadline = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
    VIMG_SSH_CALL_FOR(ssh, command.channel, libssh2_channel_open_session(ssh->session));
    ok = command.channel ? run(&command, line, out, error) : throw_lost(error, &command);
    if (command.channel)
        VIMG_SSH_CALL(ssh, rc, libssh2_channel_free(command.channel));
    ssh->deadline = 0;
    ssh->secret = FALSE;
    if (ok)
        return out;
    explicit_bzero(out->data, max + 1);
    vimg_buffer_unref(out);
    return NULL;
}
