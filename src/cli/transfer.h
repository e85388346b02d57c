/*
 * transfer.h: what uploads and downloads share: losses of the connection, Ctrl-C, progress
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_TRANSFER_H
#define VIMG_CLI_TRANSFER_H

#include "cli/image.h"
#include "cli/progress.h"
#include "cli/stream.h"

typedef struct {
    VimgCtl *ctl;
    VimgCtlPool pool;
    const char *name; /* of the image */
    VimgProgress *progress;
    const char *phase;
    guint64 done, total; /* bytes of content */
    guint64 sent;        /* bytes of data that went over the connection */
    gint64 began;        /* monotonic */
    gint64 patience;     /* microseconds to wait for a daemon that went away */
    gint64 give_up;      /* when; 0: it never went away */
    gboolean streaming;  /* it said yes to a stream */
} VimgTransfer;

/* Reads the options that both have.  Returns: FALSE after having said what is wrong with them. */
gboolean vimg_transfer_init(VimgTransfer *transfer, VimgCtl *ctl, const char *name);
void vimg_transfer_clear(VimgTransfer *transfer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgTransfer, vimg_transfer_clear)

/*
 * Runs @attempt, and again for as long as it loses the connection and @patience lasts; Ctrl-C ends
 * it with VIMG_ERROR_ABORTED.
 */
typedef gboolean (*VimgTransferFunc)(VimgTransfer *transfer, gpointer data, GError **error);
gboolean vimg_transfer_run(VimgTransfer *transfer, const char *pool, VimgTransferFunc attempt,
                           gpointer data, GError **error);

/*
 * Puts @found (transfer full) into the place of what was found before, if anything was: it must be
 * the same image.
 */
gboolean vimg_transfer_take_image(VimgImage **image, VimgImage *found, GError **error);

/* From now on Ctrl-C is only noted; a second one leaves at once. */
void vimg_transfer_catch(void);
gboolean vimg_transfer_interrupted(void);
/* For vimg_stream_set_tick(); @data is the transfer. */
gboolean vimg_transfer_tick(gpointer data);

/* Returns: (transfer full) a translated @format with two sizes, as they are to be shown. */
char *vimg_transfer_sizes(const VimgTransfer *transfer, const char *format, guint64 a, guint64 b)
    G_GNUC_FORMAT(2);

/*
 * Says how it ended: @text, which is what was done or what Ctrl-C left, or @error.  Returns: the
 * exit code.
 */
int vimg_transfer_end(VimgTransfer *transfer, const VimgImage *image, const char *text,
                      const GError *error);

#endif
