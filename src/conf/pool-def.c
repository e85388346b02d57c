/*
 * pool-def.c: a pool definition as a value
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/pool-private.h"

void
vimg_host_def_free(VimgHostDef *host)
{
    g_free(host->name);
    g_free(host);
}

void
vimg_element_def_free(VimgElementDef *element)
{
    g_free(element->path);
    g_strfreev(element->attributes);
    g_free(element->text);
    g_free(element);
}

static void
free_host(gpointer data)
{
    vimg_host_def_free(data);
}

static void
free_element(gpointer data)
{
    vimg_element_def_free(data);
}

VimgPoolDef *
vimg_pool_def_new(void)
{
    VimgPoolDef *def = g_new0(VimgPoolDef, 1);

    def->hosts = g_ptr_array_new_with_free_func(free_host);
    def->zones = g_ptr_array_new_with_free_func(g_free);
    def->elements = g_ptr_array_new_with_free_func(free_element);
    def->reconnect = TRUE;
    def->reconnect_interval = VIMG_RECONNECT_INTERVAL;
    def->keep_deleted = VIMG_KEEP_DELETED;
    def->keep_temporary = VIMG_KEEP_TEMPORARY;
    def->space_reserve = VIMG_SPACE_DEFAULT;
    return def;
}

void
vimg_pool_def_free(VimgPoolDef *def)
{
    if (!def)
        return;
    g_free(def->type);
    g_free(def->name);
    g_clear_pointer(&def->hosts, g_ptr_array_unref);
    g_free(def->source_dir);
    g_free(def->source_name);
    g_free(def->device);
    g_free(def->auth_type);
    g_free(def->auth_user);
    g_free(def->secret_usage);
    g_free(def->secret_uuid);
    g_free(def->target_path);
    g_free(def->description);
    g_clear_pointer(&def->zones, g_ptr_array_unref);
    g_free(def->data_network);
    g_free(def->sync_network);
    g_free(def->cleanup_schedule);
    g_clear_pointer(&def->elements, g_ptr_array_unref);
    g_free(def);
}

static gpointer
copy_host(gconstpointer data, gpointer user_data G_GNUC_UNUSED)
{
    const VimgHostDef *host = data;
    VimgHostDef *copy = g_new0(VimgHostDef, 1);

    copy->name = g_strdup(host->name);
    copy->port = host->port;
    return copy;
}

static gpointer
copy_text(gconstpointer data, gpointer user_data G_GNUC_UNUSED)
{
    return g_strdup(data);
}

static gpointer
copy_element(gconstpointer data, gpointer user_data G_GNUC_UNUSED)
{
    const VimgElementDef *element = data;
    VimgElementDef *copy = g_new0(VimgElementDef, 1);

    copy->path = g_strdup(element->path);
    copy->attributes = g_strdupv(element->attributes);
    copy->text = g_strdup(element->text);
    return copy;
}

VimgPoolDef *
vimg_pool_def_copy(const VimgPoolDef *def)
{
    VimgPoolDef *copy = g_new(VimgPoolDef, 1);

    *copy = *def; /* the plain members; every pointer is replaced below */
    copy->type = g_strdup(def->type);
    copy->name = g_strdup(def->name);
    copy->hosts = g_ptr_array_copy(def->hosts, copy_host, NULL);
    copy->source_dir = g_strdup(def->source_dir);
    copy->source_name = g_strdup(def->source_name);
    copy->device = g_strdup(def->device);
    copy->auth_type = g_strdup(def->auth_type);
    copy->auth_user = g_strdup(def->auth_user);
    copy->secret_usage = g_strdup(def->secret_usage);
    copy->secret_uuid = g_strdup(def->secret_uuid);
    copy->target_path = g_strdup(def->target_path);
    copy->description = g_strdup(def->description);
    copy->zones = g_ptr_array_copy(def->zones, copy_text, NULL);
    copy->data_network = g_strdup(def->data_network);
    copy->sync_network = g_strdup(def->sync_network);
    copy->cleanup_schedule = g_strdup(def->cleanup_schedule);
    copy->elements = g_ptr_array_copy(def->elements, copy_element, NULL);
    return copy;
}

const char *
vimg_pool_def_dir(const VimgPoolDef *def)
{
    return def->source_dir ? def->source_dir : def->target_path;
}
