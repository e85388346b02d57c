/*
 * fake-model-host.c: its answers about pools of the host's own daemon, of which there is none here
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fake-model-private.h"

gboolean
vimg_model_knows_type(VimgModel *model, const char *type)
{
    return TRUE;
}

gboolean
vimg_model_hides_host_pool(VimgModel *model, const VimgPoolId *host)
{
    return TRUE;
}

void
vimg_pool_wish_clear(VimgPoolWish *wish)
{
}

gboolean
vimg_model_pool_wish(VimgModel *model, const char *xml, VimgPoolWish *out, GError **error)
{
    g_assert_not_reached();
}

gboolean
vimg_model_check_wish(VimgModel *model, const VimgPoolWish *wish, const GPtrArray *host,
                      GError **error)
{
    g_assert_not_reached();
}

void
vimg_model_note_host_pools(VimgModel *model, const GPtrArray *host, gboolean all)
{
    g_assert_not_reached();
}

char *
vimg_capabilities_merge(const char *ours, const char *host, GError **error)
{
    g_assert_not_reached();
}
