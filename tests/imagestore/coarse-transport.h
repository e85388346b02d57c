/*
 * coarse-transport.h: a storage that tells what SFTP tells
 *
 * Whole seconds by a clock of its own, no inodes, and what is known of files along with their
 * names.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_COARSE_TRANSPORT_H
#define TESTS_IMAGESTORE_COARSE_TRANSPORT_H

#include "transport.h"

/* Takes @inner over.  @skew: seconds that its clock is ahead of ours. */
VimgTransport *coarse_transport_new(VimgTransport *inner, gint64 skew);
/* READ_AT operations that ran. */
guint coarse_transport_reads(VimgTransport *transport);

#endif
