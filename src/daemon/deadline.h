/*
 * deadline.h: the daemon ends, whatever hangs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_DEADLINE_H
#define VIMG_DAEMON_DEADLINE_H

#include <glib.h>

/*
 * From now on the process has @seconds to end by itself; then it is ended with status 0, as if it
 * had, and the log says so.
 */
void vimg_deadline_start(guint seconds);

#endif
