/*
 * sync-report.h: what a client is told of a synchronisation
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_SYNC_REPORT_H
#define VIMG_POOL_SYNC_REPORT_H

#include "vimg-plugin.h"

typedef struct _VimgSyncReport VimgSyncReport;

VimgSyncReport *vimg_sync_report_new(void);
void vimg_sync_report_free(VimgSyncReport *report); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSyncReport, vimg_sync_report_free)

/* @image is complete now; @sent: bytes that travelled for it. */
void vimg_sync_report_copied(VimgSyncReport *report, const VimgPluginImage *image, guint64 sent);
/* It was there before. */
void vimg_sync_report_present(VimgSyncReport *report, const VimgPluginImage *image);
void vimg_sync_report_deleted(VimgSyncReport *report, const VimgPluginImage *image);
void vimg_sync_report_refused(VimgSyncReport *report, const char *name, const GError *why);
/* Bytes that travelled for an image that is not complete, too. */
void vimg_sync_report_sent(VimgSyncReport *report, guint64 sent);

/* Returns: (transfer full) how many there are of each, for the log. */
char *vimg_sync_report_sum(const VimgSyncReport *report);
/* Returns: (transfer full) the JSON text, see vimg_model_pool_sync(). */
char *vimg_sync_report_format(VimgSyncReport *report, const char *source, const char *pool);

#endif
