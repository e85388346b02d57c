/*
 * slow-transport.h: another transport as from far away, counting what that costs
 *
 * A round is one run(), whatever it asks.  It cannot sync everything at once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_SLOW_TRANSPORT_H
#define TESTS_IMAGESTORE_SLOW_TRANSPORT_H

#include "transport.h"

/* @inner: taken over.  @delay: microseconds that each trip takes, of which CREATE needs two. */
VimgTransport *slow_transport_new(VimgTransport *inner, guint delay);
/* What is counted begins anew. */
void slow_transport_reset(VimgTransport *transport);
guint slow_transport_rounds(VimgTransport *transport);
/* How many trips whoever waited for all of it waited. */
guint slow_transport_trips(VimgTransport *transport);
guint slow_transport_ops(VimgTransport *transport, VimgOpKind kind);
/* Slices created or read by threads that worked for no job. */
guint slow_transport_jobless(VimgTransport *transport);
/* Slices are neither created nor read until so many bytes of them are under way at once. */
void slow_transport_gather(VimgTransport *transport, guint64 bytes);

#endif
