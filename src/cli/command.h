/*
 * command.h: what a command of virtimagectl is given, and the table of all of them
 *
 * The main program reads every option, so that they may stand anywhere on the command line; a
 * command sees its arguments alone and asks for its options by name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_COMMAND_H
#define VIMG_CLI_COMMAND_H

#include <glib.h>

typedef struct _VimgDaemon VimgDaemon;
typedef struct _VimgCommand VimgCommand;

/* Documented in virtimagectl(1): scripts branch on them. */
typedef enum {
    VIMG_EXIT_OK = 0,
    VIMG_EXIT_FAILED = 1,
    VIMG_EXIT_USAGE = 2,       /* the command line, or a value in it, is wrong */
    VIMG_EXIT_UNREACHABLE = 3, /* no daemon, or the connection was lost */
    VIMG_EXIT_NOT_FOUND = 4,
    VIMG_EXIT_REFUSED = 5,     /* not now, not in this state, or not by this user */
    VIMG_EXIT_UNSUPPORTED = 6, /* nothing here can do that */
    VIMG_EXIT_PROBLEM = 7,     /* what was looked at is not in order */
    VIMG_EXIT_INTERRUPTED = 130,
} VimgExit;

typedef enum {
    VIMG_PROGRESS_AUTO, /* a bar if standard error is a terminal, else nothing */
    VIMG_PROGRESS_JSON, /* lines on standard error */
    VIMG_PROGRESS_NONE,
} VimgProgressMode;

typedef struct {
    const VimgCommand *command;
    const char *uri; /* NULL: the default */
    gboolean read_only;
    gboolean json;
    gboolean bytes; /* sizes exact, not rounded */
    gboolean quiet;
    gboolean yes;
    VimgProgressMode progress;
    guint columns;        /* of the terminal that standard output is; 0: it is none */
    GHashTable *options;  /* those of the command: name to value */
    VimgDaemon *daemon;   /* opened on first need, see vimg_ctl_daemon() */
    gboolean unreachable; /* it could not be */
} VimgCtl;

typedef struct {
    const char *name; /* without the dashes; NULL ends a list */
    const char *arg;  /* what its value is, untranslated; NULL: it takes none */
    const char *summary;
    char letter; /* its short form; 0: none */
} VimgCommandOption;

struct _VimgCommand {
    const char *name; /* one word or two */
    const char *args; /* "POOL [IMAGE]" */
    guint min, max;   /* arguments */
    const char *summary;
    /* Takes @argc arguments, its name not among them.  Returns: a VimgExit. */
    int (*run)(VimgCtl *ctl, int argc, char **argv);
    const VimgCommandOption *options; /* beside those of every command; NULL: none */
};

/* The last has no name. */
extern const VimgCommand vimg_commands[];
/* Options of every command. */
extern const VimgCommandOption vimg_common_options[];

/* ---- for commands --------------------------------------------------------------------------- */

/* Returns: the connection, opened if it is not yet; NULL with @error. */
VimgDaemon *vimg_ctl_daemon(VimgCtl *ctl, GError **error);

/* The value of an option of the command, "" of one that takes none; NULL: it was not given. */
const char *vimg_ctl_option(VimgCtl *ctl, const char *name);

/* Says what @error (domain VIMG_DAEMON_ERROR, VIMG_ERROR or any) is.  Returns: its exit code. */
int vimg_ctl_fail(VimgCtl *ctl, const GError *error);

/* Says what is wrong with the command line, and where it is explained.  Returns: VIMG_EXIT_USAGE */
int vimg_ctl_misused(VimgCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* ---- commands ------------------------------------------------------------------------------- */

int vimg_cmd_status(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_list(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_show(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_cleanup(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_verify(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_trash_list(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_trash_restore(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_trash_purge(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_du(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_diff(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_flatten(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_import(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_export(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_export_list(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_export_revoke(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_nbd(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_nbd_stop(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_sync(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_jobs(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_job_cancel(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_pool_enable(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_pool_disable(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_pool_describe(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_pool_rename(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_host_key_accept(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_match(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_zone_list(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_zone_attach(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_zone_detach(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_zone_delete(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_doctor(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_explain(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_metrics(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_help(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_version(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_machine_image(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_machine_snapshot(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_machine_restore(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_machine_clone(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_upload(VimgCtl *ctl, int argc, char **argv);
int vimg_cmd_download(VimgCtl *ctl, int argc, char **argv);

#endif
