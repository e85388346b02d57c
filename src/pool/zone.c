/*
 * zone.c: which host may open which pool
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "util/i18n.h"

void
vimg_zone_default(VimgPoolDef *def, char **zones)
{
    if (def->zones->len == 0 && zones && zones[0])
        g_ptr_array_add(def->zones, g_strdup(zones[0]));
}

static char *
join_zones(const VimgPoolDef *def)
{
    GString *text = g_string_new(NULL);
    guint i;

    for (i = 0; i < def->zones->len; i++)
        g_string_append_printf(text, "%s'%s'", i > 0 ? ", " : "",
                               (const char *)g_ptr_array_index(def->zones, i));
    return g_string_free(text, FALSE);
}

gboolean
vimg_zone_check(const VimgPoolDef *def, char **zones, GError **error)
{
    g_autofree char *attached = NULL;
    guint i;

    if (!zones || !zones[0])
        return TRUE;
    if (def->zones->len == 0)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("storage pool '%1$s' is attached to no zone; 'virtimagectl zone attach %1$s ZONE' attaches it"),
            def->name);
    for (i = 0; i < def->zones->len; i++) {
        if (g_strv_contains((const char *const *)zones, g_ptr_array_index(def->zones, i)))
            return TRUE;
    }
    attached = join_zones(def);
    return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                      _("storage pool '%1$s' is attached to %2$s, which is no zone of this host"),
                      def->name, attached);
}

static gpointer
copy_text(gconstpointer text, gpointer data)
{
    return g_strdup(text);
}

GPtrArray *
vimg_zones_of(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return g_ptr_array_copy((pool->next_def ? pool->next_def : pool->def)->zones, copy_text, NULL);
}
