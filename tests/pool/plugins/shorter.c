/*
 * shorter.c: a backend built when the contract ended with the reader's callbacks
 *
 * What lies behind its table must never be taken for callbacks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <stddef.h>

#include "plain.h"

static const struct {
    VimgBackend table;
    gpointer behind;
} shorter = {
    .table =
        {
            .abi = VIMG_PLUGIN_ABI,
            .size = offsetof(VimgBackend, clone),
            .type = "shorter",
            .formats = "raw",
            .source_required = VIMG_SOURCE_HOST | VIMG_SOURCE_DIR | VIMG_SOURCE_NAME |
                               VIMG_SOURCE_DEVICE | VIMG_SOURCE_AUTH,
            .auth_type = "ssh",
            PLAIN_REQUIRED,
            .clone = (gpointer)1,
            .cleanup = (gpointer)1,
            .verify = (gpointer)1,
        },
    .behind = (gpointer)1,
};

const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    return &shorter.table;
}
