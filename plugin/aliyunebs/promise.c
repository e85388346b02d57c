/*
 * promise.c: images that no host removes before a time, though they be deleted
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "hold.h"
#include "image.h"
#include "promise.h"
#include "throw.h"
#include "../kept.h"

/* Returns: (transfer full) pairs of id and time; what is none is not one. */
static char **
split(const VimgEbsRecord *record)
{
    return g_strsplit(record->kept ? record->kept : "", " ", 0);
}

static gint64
read_until(const char *text)
{
    guint64 until;

    return g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &until, NULL) ? (gint64)until : 0;
}

void
vimg_ebs_promise_set(VimgEbsRecord *record, const char *id, gint64 until, gint64 now)
{
    g_auto(GStrv) parts = split(record);
    GString *kept = g_string_new(NULL);

    for (gsize i = 0; parts[i] && parts[i + 1]; i += 2) {
        if (strcmp(parts[i], id) != 0 && read_until(parts[i + 1]) > now)
            g_string_append_printf(kept, "%s%s %s", kept->len > 0 ? " " : "", parts[i],
                                   parts[i + 1]);
    }
    if (until > 0)
        g_string_append_printf(kept, "%s%s %" G_GINT64_FORMAT, kept->len > 0 ? " " : "", id, until);
    vimg_ebs_set(&record->kept, kept->len > 0 ? kept->str : NULL);
    g_string_free(kept, TRUE);
}

gboolean
vimg_ebs_promise_holds(const VimgEbsRecord *record, gint64 now)
{
    g_auto(GStrv) parts = split(record);

    for (gsize i = 0; parts[i] && parts[i + 1]; i += 2) {
        if (read_until(parts[i + 1]) > now)
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_ebs_is_kept(const VimgEbsStore *store, const char *uuid)
{
    return host_keeps(vimg_ebs_services, store->host, uuid);
}

/* What ends is ended in the trash too, and nothing is to be ended of what is gone. */
gboolean
vimg_ebs_keep(VimgEbsStore *store, const char *uuid, const char *id, gint64 until, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_auto(VimgEbsHold) hold = {0};
    g_autoptr(VimgEbsRecord) record = NULL;
    GError *local = NULL;

    if (!vimg_ebs_hold(&hold, store, site, uuid, &patience, error))
        return FALSE;
    record = until > 0 ? vimg_ebs_image_find(site, uuid, &patience, &local)
                       : vimg_ebs_record_load(site, uuid, &patience, &local);
    if (!record && until == 0 && vimg_ebs_is_gone(local)) {
        g_clear_error(&local);
        return TRUE;
    }
    if (!record) {
        g_propagate_error(error, local);
        return FALSE;
    }
    vimg_ebs_promise_set(record, id, until, vimg_ebs_now(site));
    return vimg_ebs_record_save(site, record, &patience, error);
}
