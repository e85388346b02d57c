/*
 * handlers-common.c: flags, limits, and objects between the wire and the model
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/virterror.h>

#include "rpc/handlers.h"
#include "util/i18n.h"

/*
 * "virStoragePoolBuild" is "storagePoolBuild" in the driver, and scripts have seen that one.
 * Procedures of our own are what they are called.
 */
static char *
driver_function(const VimgProc *proc)
{
    const char *driver = proc->domain == VIR_FROM_SECRET ? "secret" : "storage";
    const char *object = proc->domain == VIR_FROM_SECRET ? "virSecret" : "virStorage";
    const char *rest = proc->name + strlen("vir");

    if (!g_str_has_prefix(proc->name, "vir"))
        return g_strdup(proc->name);
    if (g_str_has_prefix(proc->name, object))
        rest = proc->name + strlen(object);
    return g_strconcat(driver, rest, NULL);
}

gboolean
vimg_call_check_flags(const VimgCall *call, guint flags, guint known, GError **error)
{
    g_autofree char *function = NULL;

    if (!(flags & ~known))
        return TRUE;
    function = driver_function(call->proc);
    return vimg_throw(error, VIMG_ERROR_FLAGS, _("unsupported flags (0x%1$x) in function %2$s"),
                      flags & ~known, function);
}

gboolean
vimg_check_flag_pairs(guint flags, const VimgFlagPair *pairs, GError **error)
{
    for (; pairs->name_a; pairs++) {
        if ((flags & pairs->a) && (flags & pairs->b))
            return vimg_throw(error, VIMG_ERROR_FLAGS,
                              _("Flags '%1$s' and '%2$s' are mutually exclusive"), pairs->name_a,
                              pairs->name_b);
    }
    return TRUE;
}

gboolean
vimg_check_max(int max, int limit, const char *message, GError **error)
{
    if (max >= 0 && max <= limit)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_RPC, "%s", message);
}

gboolean
vimg_check_count(guint n, GError **error)
{
    if (n <= VIMG_REMOTE_LIST_MAX)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_RPC, _("Too many objects '%1$u' for limit '%2$d'"), n,
                      VIMG_REMOTE_LIST_MAX);
}

void
vimg_pool_from_wire(const vimg_remote_pool *wire, VimgPoolId *out)
{
    out->name = wire->name;
    memcpy(out->uuid, wire->uuid, sizeof(out->uuid));
}

void
vimg_vol_from_wire(const vimg_remote_vol *wire, VimgVolId *out)
{
    out->pool = wire->pool;
    out->name = wire->name;
    out->key = wire->key;
}

void
vimg_pool_to_wire(VimgPoolId *id, vimg_remote_pool *wire)
{
    wire->name = g_steal_pointer(&id->name);
    memcpy(wire->uuid, id->uuid, sizeof(wire->uuid));
}

void
vimg_vol_to_wire(VimgVolId *id, vimg_remote_vol *wire)
{
    wire->pool = g_steal_pointer(&id->pool);
    wire->name = g_steal_pointer(&id->name);
    wire->key = g_steal_pointer(&id->key);
}

void
vimg_secret_to_wire(VimgSecretId *id, vimg_remote_secret *wire)
{
    memcpy(wire->uuid, id->uuid, sizeof(wire->uuid));
    wire->usage_type = id->usage_type;
    /* a nonnull string that is NULL cannot be encoded */
    wire->usage_id = id->usage_id ? g_steal_pointer(&id->usage_id) : g_strdup("");
}

gboolean
vimg_string_to_wire(char *text, vimg_remote_string *wire)
{
    wire->value = text;
    return text != NULL;
}

/* ---- our own program ------------------------------------------------------------------------ */

const char *
vimg_optional_from_wire(const vimg_remote_optional_text text)
{
    return text ? *text : NULL;
}

vimg_remote_optional_text
vimg_optional_to_wire(char **text)
{
    vimg_remote_optional_text wire;

    if (!*text)
        return NULL;
    wire = g_new(vimg_remote_text, 1);
    *wire = g_steal_pointer(text);
    return wire;
}

gboolean
vimg_answer_report(VimgCall *call, char *report)
{
    vimg_control_report *ret = call->ret;

    ret->value = report;
    return report != NULL;
}

gboolean
vimg_check_page(guint max, GError **error)
{
    if (max >= 1 && max <= VIMG_CONTROL_PAGE_MAX)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("a page holds 1 to %1$d entries, not %2$u"),
                      VIMG_CONTROL_PAGE_MAX, max);
}
