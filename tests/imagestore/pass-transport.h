/*
 * pass-transport.h: what is the same of all transports that change little of another one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_PASS_TRANSPORT_H
#define TESTS_IMAGESTORE_PASS_TRANSPORT_H

#include "transport.h"

/* The beginning of each. */
typedef struct {
    VimgTransport parent;
    VimgTransport *inner; /* its own */
} PassTransport;

int pass_sync_all(VimgTransport *transport);
/* The storage cannot do that. */
int pass_sync_nothing(VimgTransport *transport);
int pass_space(VimgTransport *transport, VimgSpace *out);
void pass_free(VimgTransport *transport);

#endif
