/*
 * newer.c: a backend built for a later version of the contract
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plain.h"

static const VimgBackend newer = {
    .abi = VIMG_PLUGIN_ABI + 1,
    .size = sizeof(VimgBackend) + 64,
    .type = "newer",
    .formats = "raw",
    PLAIN_REQUIRED,
};

const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    return &newer;
}
