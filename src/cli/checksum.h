/*
 * checksum.h: what a file is expected to be
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_CHECKSUM_H
#define VIMG_CLI_CHECKSUM_H

#include "cli/command.h"

typedef struct {
    const char *type; /* sha256 or sha512; NULL: nothing is expected */
    char *hex;        /* in small letters */
} VimgChecksum;

void vimg_checksum_clear(VimgChecksum *checksum);

/* Reads "sha256:HEX".  Returns: FALSE if it is none. */
gboolean vimg_checksum_parse(const char *text, VimgChecksum *checksum);
/* That of the option --checksum.  Returns: FALSE after having said what is wrong with it. */
gboolean vimg_checksum_option(VimgCtl *ctl, VimgChecksum *checksum);

/* Reads all of @fd; @tick is asked now and then whether to go on. */
gboolean vimg_checksum_verify(const VimgChecksum *checksum, int fd, gboolean (*tick)(gpointer data),
                              gpointer data, GError **error);

#endif
