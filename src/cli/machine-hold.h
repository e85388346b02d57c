/*
 * machine-hold.h: a disk that no emulator writes to as long as we look at it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_HOLD_H
#define VIMG_CLI_MACHINE_HOLD_H

#include <glib.h>

/*
 * Keeps every emulator from opening the file or device @path for writing until the descriptor that
 * is returned is closed, or we end.  -1 with @error: VIMG_ERROR_BUSY if one has it open so, or does
 * not let others read it.  Where the file system knows no locks, nothing is held, as QEMU does it.
 */
int vimg_hold_open(const char *path, GError **error);

/* Whether an emulator other than who holds @fd alone has the file open at all. */
gboolean vimg_hold_is_used(int fd);

#endif
