/*
 * crash.h: what a daemon that crashes says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_CRASH_H
#define VIMG_DAEMON_CRASH_H

/*
 * From now on a fault is written to standard error, with the thread and the calls that led to it,
 * before it ends the process as it would have, at the latest some seconds later.  Not so a stack
 * that is used up.  Before there are threads.
 */
void vimg_crash_report(void);

#endif
