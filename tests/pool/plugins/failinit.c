/*
 * failinit.c: a backend that cannot work here; each further call of its init would say so
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "vimg-plugin.h"

const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    static int calls; /* atomic */

    g_set_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM, "no such hardware, asked %d times",
                __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED));
    return NULL;
}
