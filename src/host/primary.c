/*
 * primary.c: clones into and out of the host's pools, with the rights of whoever asks
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "host/primary-moment.h"
#include "util/file.h"
#include "util/i18n.h"

#define JOURNAL "primary" /* below the state directory */

#define FLAGS                                                                                      \
    (VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA | VIR_STORAGE_VOL_CREATE_REFLINK |                   \
     VIR_STORAGE_VOL_CREATE_VALIDATE)

VimgHostConnect *
vimg_host_primary_connect(const VimgHostPrimary *primary, const VimgCaller *caller, int *line,
                          GError **error)
{
    g_autofree char *uri = vimg_host_uri(primary->host);

    return vimg_host_connect(uri, caller, line, error);
}

/* What an image becomes is as sparse as it is; who insists on more is told. */
static gboolean
check_flags(guint flags, gboolean shares, GError **error)
{
    if (flags & ~(guint)FLAGS)
        return vimg_throw(error, VIMG_ERROR_FLAGS, _("unsupported flags (0x%x)"),
                          flags & ~(guint)FLAGS);
    if ((flags & VIR_STORAGE_VOL_CREATE_REFLINK) && !shares)
        return vimg_throw(
            error, VIMG_ERROR_ARGUMENT_UNSUPPORTED, "%s",
            _("nothing is shared by reflink between an image and a pool of the host"));
    return TRUE;
}

static gboolean
clone_out(const VimgCaller *caller, const VimgPoolId *pool, const char *xml,
          const VimgVolId *source, guint flags, VimgVolId *out, gpointer data, GError **error)
{
    VimgHostPrimary *primary = data;
    g_autoptr(VimgHostConnect) connect = NULL;
    vimg_autofd int line = -1;

    if (!check_flags(flags, FALSE, error))
        return FALSE;
    connect = vimg_host_primary_connect(primary, caller, &line, error);
    return connect &&
           vimg_host_clone_out(primary, connect, line, pool, xml, source, flags, out, error);
}

static gboolean
clone_in(const VimgCaller *caller, const VimgPoolId *pool, const char *xml, const VimgVolId *source,
         guint flags, VimgVolId *out, gpointer data, GError **error)
{
    VimgHostPrimary *primary = data;
    g_autoptr(VimgHostConnect) connect = NULL;
    vimg_autofd int line = -1;

    if (!check_flags(flags, TRUE, error))
        return FALSE;
    connect = vimg_host_primary_connect(primary, caller, &line, error);
    return connect &&
           vimg_host_clone_in(primary, connect, line, pool, xml, source, flags, out, error);
}

static gboolean
hold(const VimgCaller *caller, const VimgVolId *image, const VimgVolId *source, gpointer data,
     GError **error)
{
    VimgHostPrimary *primary = data;
    g_autoptr(VimgHostConnect) connect = vimg_host_primary_connect(primary, caller, NULL, error);

    return connect && vimg_host_hold(primary, connect, image, source, error);
}

static gboolean
fill(const VimgCaller *caller, const VimgVolId *image, const VimgVolId *source, VimgFilled *out,
     gpointer data, GError **error)
{
    VimgHostPrimary *primary = data;
    g_autoptr(VimgHostConnect) connect = vimg_host_primary_connect(primary, caller, NULL, error);

    return connect && vimg_host_fill(primary, connect, image, source, out, error);
}

/* ---- what pools there are ----------------------------------------------------------------- */

static GPtrArray *
list_pools(virConnectPtr connect, GError **error)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_primary_pool_free);
    virStoragePoolPtr *pools = NULL;
    int n = virConnectListAllStoragePools(connect, &pools, 0);

    for (int i = 0; i < n; i++) {
        char *xml = virStoragePoolGetXMLDesc(pools[i], 0);
        g_autofree char *type = xml ? vimg_host_pool_type(xml) : NULL;

        if (type) {
            VimgPrimaryPool *pool = g_new0(VimgPrimaryPool, 1);

            pool->name = g_strdup(virStoragePoolGetName(pools[i]));
            pool->type = g_steal_pointer(&type);
            g_ptr_array_add(found, pool);
        }
        free(xml);
        virStoragePoolFree(pools[i]);
    }
    free(pools);
    if (n >= 0)
        return found;
    g_ptr_array_unref(found);
    vimg_host_throw(error);
    return NULL;
}

static GPtrArray *
pools_of(const VimgCaller *caller, gpointer data, GError **error)
{
    VimgHostPrimary *primary = data;
    g_autoptr(VimgHostConnect) connect = vimg_host_primary_connect(primary, caller, NULL, error);

    return connect ? list_pools(connect, error) : NULL;
}

static void
tidy(const char *uuid, gpointer data)
{
    vimg_host_bases_tidy(data, uuid);
    vimg_host_moments_tidy(data, uuid);
}

static void
gone(const char *uuid, gpointer data)
{
    vimg_host_moment_gone(data, uuid);
}

static void
undefined(const char *uuid, gpointer data)
{
    vimg_host_reaper_kick(data);
}

static gboolean
is_present(gpointer data)
{
    const VimgHostPrimary *primary = data;

    return vimg_host_is_present(primary->host);
}

static const VimgPrimary callbacks = {
    .present = is_present,
    .clone_out = clone_out,
    .clone_in = clone_in,
    .hold = hold,
    .fill = fill,
    .pools = pools_of,
    .tidy = tidy,
    .gone = gone,
    .undefined = undefined,
};

VimgHostPrimary *
vimg_host_primary_new(const VimgHostPrimaryConfig *config, VimgModel *model, GError **error)
{
    VimgHostPrimary *primary = g_new0(VimgHostPrimary, 1);

    primary->refs = 1;
    primary->line = -1;
    vimg_host_init();
    vimg_host_set_patience(config->keepalive_interval, config->keepalive_count);
    primary->model = model;
    primary->host = config->host;
    primary->reader = g_strdup(config->reader ? config->reader : "nobody");
    primary->journal_dir = g_build_filename(config->state_dir, JOURNAL, NULL);
    primary->live = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    primary->passed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    primary->bases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    primary->moments = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    vimg_mutex_init(&primary->lock);
    vimg_cond_init(&primary->changed);
    if (!vimg_host_reaper_start(primary, error)) {
        vimg_host_primary_free(primary);
        return NULL;
    }
    vimg_model_set_primary(model, &callbacks, primary);
    vimg_host_reaper_kick(primary); /* what was undefined since the reaper began was not told it */
    return primary;
}

VimgHostPrimary *
vimg_host_primary_ref(VimgHostPrimary *primary)
{
    __atomic_add_fetch(&primary->refs, 1, __ATOMIC_RELAXED);
    return primary;
}

void
vimg_host_primary_unref(VimgHostPrimary *primary)
{
    if (__atomic_sub_fetch(&primary->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    g_hash_table_unref(primary->moments);
    g_hash_table_unref(primary->bases);
    g_hash_table_unref(primary->live);
    g_hash_table_unref(primary->passed);
    g_free(primary->settling);
    vimg_mutex_clear(&primary->lock);
    vimg_cond_clear(&primary->changed);
    g_free(primary->journal_dir);
    g_free(primary->reader);
    g_free(primary);
}

void
vimg_host_primary_free(VimgHostPrimary *primary)
{
    if (!primary)
        return;
    vimg_host_reaper_stop(primary);
    vimg_host_primary_unref(primary);
}
