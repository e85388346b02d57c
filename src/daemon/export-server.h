/*
 * export-server.h: the process that serves exports, started and started again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_EXPORT_SERVER_H
#define VIMG_DAEMON_EXPORT_SERVER_H

#include "conf/daemon-config.h"
#include "pool/model.h"

typedef struct _VimgExportServer VimgExportServer;

/*
 * Listens as @config says, tells @model under which URL, and starts @program, which serves.  Of the
 * main loop.  All of it is borrowed.
 */
VimgExportServer *vimg_export_server_new(const char *program, const VimgDaemonConfig *config,
                                         VimgModel *model, GError **error);
/* After the jobs of the model were cancelled.  Accepts NULL. */
void vimg_export_server_free(VimgExportServer *server);

#endif
