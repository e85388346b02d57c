/*
 * ctl.h: what commands share: calls of the daemon, confirmation, ends
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_CTL_H
#define VIMG_CLI_CTL_H

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/report.h"

/* A pool as procedures take it. */
typedef vimg_remote_pool VimgCtlPool;
void vimg_ctl_pool_clear(VimgCtlPool *pool);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgCtlPool, vimg_ctl_pool_clear)

/* @name: or its uuid, as virsh takes both. @pool must be zeroed. */
gboolean vimg_ctl_find_pool(VimgCtl *ctl, const char *name, VimgCtlPool *pool, GError **error);

/* A call of our own program, as vimg_daemon_call(). */
gboolean vimg_ctl_call(VimgCtl *ctl, gint32 procedure, xdrproc_t args_proc, gpointer args,
                       xdrproc_t ret_proc, gpointer ret, GError **error);
/* One that answers with a report.  Returns: (transfer full), or NULL. */
JsonObject *vimg_ctl_report(VimgCtl *ctl, gint32 procedure, xdrproc_t args_proc, gpointer args,
                            GError **error);

/*
 * A list that comes in pages, of @pool unless NULL: @page adds what stands behind @after (NULL:
 * from the beginning) to
 * @list, at most VIMG_CONTROL_PAGE_MAX objects.  Returns: (transfer full) {"pool": …, @member:
 * […]}; the next page is behind the member @key of the last; NULL with @error.
 */
typedef gboolean (*VimgCtlPage)(VimgCtl *ctl, const VimgCtlPool *pool, vimg_remote_text *after,
                                JsonArray *list, GError **error);
JsonObject *vimg_ctl_list(VimgCtl *ctl, const VimgCtlPool *pool, const char *member,
                          const char *key, VimgCtlPage page, GError **error);

/* Asks @question (safe) on a terminal, unless --yes.  Returns: FALSE with @error if it must not be.
 */
gboolean vimg_ctl_confirm(VimgCtl *ctl, const char *question, GError **error);

/*
 * The end of a command that asked for @report: prints it as JSON, or has it shown by @show, which
 * is given it as it came.  NULL: says what @error is.  Returns: the exit code.
 */
typedef void (*VimgCtlShow)(VimgCtl *ctl, JsonObject *report);
int vimg_ctl_show(VimgCtl *ctl, JsonObject *report, VimgCtlShow show, const GError *error);

/*
 * The end of a command that changed something: says so unless --quiet; with --json prints an object
 * of the members @names, which ends with NULL, whose values are the strings @values.
 */
int vimg_ctl_done(VimgCtl *ctl, const char *const *names, const char *const *values,
                  const char *format, ...) G_GNUC_PRINTF(4, 5);

#endif
