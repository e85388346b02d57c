/*
 * diagnose-way.c: the way to a server, and what it can do
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "diagnose-private.h"
#include "reach.h"
#include "../throw.h"
#include "way.h"

/* Behind those of the way: where the store is. */
#define PATH VIMG_SSH_N_STEPS
#define N_STEPS (PATH + 1)

static const struct {
    const char *name;
    const char *remedy;
} steps[N_STEPS] = {
    [VIMG_SSH_RESOLVE] = {"resolve",
                          N_("correct the name in <host>, or what this host looks names up in")},
    [VIMG_SSH_CONNECT] =
        {"connect",
         N_("see that sshd runs there and listens on that port, and that no firewall is between")},
    [VIMG_SSH_KEY_EXCHANGE] =
        {"key-exchange", N_("see the log of sshd; it may allow no algorithm that this host has")},
    [VIMG_SSH_HOST_KEY] =
        {"host-key",
         N_("compare the fingerprint with the server's own, then let virtimagectl host-key accept take it")},
    [VIMG_SSH_LOGIN] =
        {"login",
         N_("give the password with virsh secret-set-value, then virsh pool-refresh; the log of sshd says more")},
    [VIMG_SSH_SUBSYSTEM] =
        {"subsystem", N_("let sshd_config of the server have 'Subsystem sftp internal-sftp'")},
    [PATH] = {"path", N_("take another directory with virsh pool-edit")},
};

typedef struct {
    int at;              /* the last step taken; -1: none */
    char *what[N_STEPS]; /* as it was said of each, of the last address tried */
} Walk;

static void
note_step(VimgSshStep step, const char *what, gpointer data)
{
    Walk *walk = data;

    walk->at = CLAMP((int)step, 0, N_STEPS - 1);
    g_free(walk->what[walk->at]);
    walk->what[walk->at] = g_strdup(what);
}

/* Without a password it is not even begun. */
static int
failed_step(const Walk *walk)
{
    return walk->at < 0 ? VIMG_SSH_LOGIN : walk->at;
}

/* The path is looked at by another login, and what ends that has nothing to do with the path. */
static const char *
remedy_for(int step, const GError *error)
{
    if (step == PATH && !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG) &&
        !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_SYSTEM))
        return _("see that the server answers, then diagnose again");
    return _(steps[step].remedy);
}

static void
tell_step(VimgDiagnosis *diagnosis, const Walk *walk, int step, const GError *error)
{
    diagnosis->step = steps[step].name;
    if (error && step == failed_step(walk))
        tell(diagnosis, VIMG_STEP_FAILED, remedy_for(step, error), "%s", error->message);
    else if (step > walk->at)
        tell(diagnosis, VIMG_STEP_SKIPPED, NULL, "%s",
             _("not tried: an earlier step must be right first"));
    else
        tell(diagnosis, VIMG_STEP_OK, NULL, "%s", walk->what[step] ? walk->what[step] : "");
}

/* As a transport goes it, but for the steps to be heard of and the server to be asked. */
static gboolean
go(VimgDiagnosis *diagnosis, Walk *walk, GError **error)
{
    g_autoptr(VimgWay) way = vimg_way_new(diagnosis->pool);
    VimgSftpStream *stream = vimg_way_go(way, note_step, walk, error);
    g_autoptr(VimgSftpSession) session = stream ? vimg_sftp_session_new(stream, error) : NULL;

    if (!session)
        return FALSE;
    diagnosis->server = *vimg_sftp_session_server(session);
    note_step((VimgSshStep)PATH, diagnosis->where, walk);
    diagnosis->transport = vimg_reach(diagnosis->pool, NULL, NULL, error);
    return diagnosis->transport != NULL;
}

void
vimg_diagnose_way(VimgDiagnosis *diagnosis)
{
    Walk walk = {.at = -1};
    g_autoptr(GError) error = NULL;
    int i;

    go(diagnosis, &walk, &error);
    for (i = 0; i < N_STEPS; i++) {
        tell_step(diagnosis, &walk, i, error);
        g_free(walk.what[i]);
    }
}

/* ---- the server ------------------------------------------------------------------------- */

static const struct {
    gsize offset; /* of a gboolean in VimgSftpServer */
    const char *extension;
    const char *without;
} extensions[] = {
    {G_STRUCT_OFFSET(VimgSftpServer, fsync), "fsync@openssh.com",
     N_("a power cut there may take images that were said to be stored")},
    {G_STRUCT_OFFSET(VimgSftpServer, statvfs), "statvfs@openssh.com",
     N_("nobody knows how much space is left there")},
    {G_STRUCT_OFFSET(VimgSftpServer, hardlink), "hardlink@openssh.com",
     N_("whether moving a file replaces another is up to the server")},
    {G_STRUCT_OFFSET(VimgSftpServer, posix_rename), "posix-rename@openssh.com",
     N_("directories may not be moved at once")},
};

void
vimg_diagnose_server(VimgDiagnosis *diagnosis)
{
    const VimgSftpServer *server = &diagnosis->server;
    g_autoptr(GString) lacks = g_string_new(NULL);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(extensions); i++) {
        if (!G_STRUCT_MEMBER(gboolean, server, extensions[i].offset))
            g_string_append_printf(lacks, "; %s: %s", extensions[i].extension,
                                   _(extensions[i].without));
    }
    if (lacks->len > 0)
        tell(diagnosis, VIMG_STEP_WARNING,
             _("let it run OpenSSH 6.5 or later, and refuse none of its requests"),
             _("it lacks extensions of SFTP%s"), lacks->str);
    else
        tell(
            diagnosis, VIMG_STEP_OK, NULL,
            _("it knows all extensions of SFTP that are used; reads of %1$u and writes of %2$u bytes"),
            server->read_max, server->write_max);
}
