/*
 * dialect.c: how a control endpoint is spoken to
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "dialect.h"

static const VimgDialect *const dialects[] = {&vimg_dialect_rpc, &vimg_dialect_acs3};

const VimgDialect *
vimg_dialect_find(const char *name)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(dialects); i++)
        if (strcmp(dialects[i]->name, name) == 0)
            return dialects[i];
    return NULL;
}

void
vimg_call_clear(VimgCall *call)
{
    g_clear_pointer(&call->target, g_free);
    g_clear_pointer(&call->headers, g_ptr_array_unref);
    g_clear_pointer(&call->body, g_free);
}
