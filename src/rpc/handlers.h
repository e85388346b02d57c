/*
 * handlers.h: the functions behind the rows of the two tables, and what they share
 *
 * A handler takes its arguments apart, asks the model, and fills the answer; it decides nothing.
 * Rights, order and cost are in the row.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_HANDLERS_H
#define VIMG_RPC_HANDLERS_H

#include "rpc/dispatch.h"
#include "wire/control.h"
#include "wire/remote.h"

/* ---- shared --------------------------------------------------------------------------------- */

/*
 * Refuses bits of @flags outside of @known: VIMG_ERROR_FLAGS "unsupported flags (0x8) in function
 * storagePoolDefineXML", where the function is the one in libvirt's driver for this procedure.
 */
gboolean vimg_call_check_flags(const VimgCall *call, guint flags, guint known, GError **error);

/* Two flags that exclude each other; the names are libvirt's. */
typedef struct {
    guint a, b;
    const char *name_a, *name_b;
} VimgFlagPair;

#define VIMG_FLAG_PAIR(x, y)                                                                       \
    {                                                                                              \
        x, y, #x, #y                                                                               \
    }

/* @pairs ends with .name_a NULL. */
gboolean vimg_check_flag_pairs(guint flags, const VimgFlagPair *pairs, GError **error);

/* Refuses @max outside of 0..@limit with VIMG_ERROR_RPC @message. */
gboolean vimg_check_max(int max, int limit, const char *message, GError **error);

/* The wire's objects as the model's: @out borrows the strings of @wire and is never cleared. */
void vimg_pool_from_wire(const vimg_remote_pool *wire, VimgPoolId *out);
void vimg_vol_from_wire(const vimg_remote_vol *wire, VimgVolId *out);

/* The model's objects as the wire's: strings move, @id is empty afterwards. */
void vimg_pool_to_wire(VimgPoolId *id, vimg_remote_pool *wire);
void vimg_vol_to_wire(VimgVolId *id, vimg_remote_vol *wire);
void vimg_secret_to_wire(VimgSecretId *id, vimg_remote_secret *wire);

/* Takes @text, which may be NULL after a failure.  Returns: whether it is not. */
gboolean vimg_string_to_wire(char *text, vimg_remote_string *wire);

/* How many of @n objects a reply may carry; VIMG_ERROR_RPC beyond the protocol's limit. */
gboolean vimg_check_count(guint n, GError **error);

/* ---- handlers-connect.c --------------------------------------------------------------------- */

gboolean vimg_handle_open(VimgCall *call, GError **error);
gboolean vimg_handle_nothing(VimgCall *call, GError **error); /* succeeds: CLOSE */
gboolean vimg_handle_hear_close(VimgCall *call, GError **error);
gboolean vimg_handle_unhear_close(VimgCall *call, GError **error);
gboolean vimg_route_feature(const VimgCall *call);
gboolean vimg_handle_unsupported(VimgCall *call, GError **error);
gboolean vimg_handle_get_type(VimgCall *call, GError **error);
gboolean vimg_handle_get_version(VimgCall *call, GError **error);
gboolean vimg_handle_get_lib_version(VimgCall *call, GError **error);
gboolean vimg_handle_node_get_info(VimgCall *call, GError **error);
gboolean vimg_handle_get_capabilities(VimgCall *call, GError **error);
gboolean vimg_handle_get_hostname(VimgCall *call, GError **error);
gboolean vimg_handle_get_uri(VimgCall *call, GError **error);
gboolean vimg_handle_is_secure(VimgCall *call, GError **error);
gboolean vimg_handle_supports_feature(VimgCall *call, GError **error);
gboolean vimg_handle_auth_list(VimgCall *call, GError **error);
gboolean vimg_handle_auth_other(VimgCall *call, GError **error); /* SASL, polkit: never offered */
gboolean vimg_handle_set_identity(VimgCall *call, GError **error);

/* ---- handlers-empty.c: lists that have nothing to show -------------------------------------- */

gboolean vimg_handle_none(VimgCall *call, GError **error);      /* counts and new lists */
gboolean vimg_handle_list_none(VimgCall *call, GError **error); /* args: max */
gboolean vimg_handle_list_no_devices(VimgCall *call, GError **error);

/* ---- handlers-pool.c ------------------------------------------------------------------------ */

gboolean vimg_handle_num_of_pools(VimgCall *call, GError **error);
gboolean vimg_handle_list_pools(VimgCall *call, GError **error);
gboolean vimg_handle_num_of_defined_pools(VimgCall *call, GError **error);
gboolean vimg_handle_list_defined_pools(VimgCall *call, GError **error);
gboolean vimg_handle_list_all_pools(VimgCall *call, GError **error);
gboolean vimg_handle_find_pool_sources(VimgCall *call, GError **error);
gboolean vimg_handle_pool_capabilities(VimgCall *call, GError **error);
gboolean vimg_handle_pool_lookup_by_name(VimgCall *call, GError **error);
gboolean vimg_handle_pool_lookup_by_uuid(VimgCall *call, GError **error);
gboolean vimg_handle_pool_lookup_by_volume(VimgCall *call, GError **error);
gboolean vimg_handle_pool_lookup_by_target_path(VimgCall *call, GError **error);
gboolean vimg_handle_pool_define_xml(VimgCall *call, GError **error);
gboolean vimg_handle_pool_create_xml(VimgCall *call, GError **error);
gboolean vimg_handle_pool_create(VimgCall *call, GError **error);
gboolean vimg_handle_pool_build(VimgCall *call, GError **error);
gboolean vimg_handle_pool_destroy(VimgCall *call, GError **error);
gboolean vimg_handle_pool_delete(VimgCall *call, GError **error);
gboolean vimg_handle_pool_undefine(VimgCall *call, GError **error);
gboolean vimg_handle_pool_refresh(VimgCall *call, GError **error);
gboolean vimg_handle_pool_get_info(VimgCall *call, GError **error);
gboolean vimg_handle_pool_get_xml_desc(VimgCall *call, GError **error);
gboolean vimg_handle_pool_get_autostart(VimgCall *call, GError **error);
gboolean vimg_handle_pool_set_autostart(VimgCall *call, GError **error);
gboolean vimg_handle_pool_is_active(VimgCall *call, GError **error);
gboolean vimg_handle_pool_is_persistent(VimgCall *call, GError **error);

/* ---- handlers-vol.c ------------------------------------------------------------------------- */

gboolean vimg_handle_pool_num_of_volumes(VimgCall *call, GError **error);
gboolean vimg_handle_pool_list_volumes(VimgCall *call, GError **error);
gboolean vimg_handle_pool_list_all_volumes(VimgCall *call, GError **error);
gboolean vimg_handle_vol_lookup_by_name(VimgCall *call, GError **error);
gboolean vimg_handle_vol_lookup_by_key(VimgCall *call, GError **error);
gboolean vimg_handle_vol_lookup_by_path(VimgCall *call, GError **error);
gboolean vimg_handle_vol_create_xml(VimgCall *call, GError **error);
gboolean vimg_handle_vol_create_xml_from(VimgCall *call, GError **error);
gboolean vimg_handle_vol_delete(VimgCall *call, GError **error);
gboolean vimg_handle_vol_wipe(VimgCall *call, GError **error);
gboolean vimg_handle_vol_wipe_pattern(VimgCall *call, GError **error);
gboolean vimg_handle_vol_resize(VimgCall *call, GError **error);
gboolean vimg_handle_vol_get_info(VimgCall *call, GError **error);
gboolean vimg_handle_vol_get_info_flags(VimgCall *call, GError **error);
gboolean vimg_handle_vol_get_xml_desc(VimgCall *call, GError **error);
gboolean vimg_handle_vol_get_path(VimgCall *call, GError **error);
gboolean vimg_handle_vol_upload(VimgCall *call, GError **error);
gboolean vimg_handle_vol_download(VimgCall *call, GError **error);

/* ---- handlers-secret.c ---------------------------------------------------------------------- */

gboolean vimg_handle_num_of_secrets(VimgCall *call, GError **error);
gboolean vimg_handle_list_secrets(VimgCall *call, GError **error);
gboolean vimg_handle_list_all_secrets(VimgCall *call, GError **error);
gboolean vimg_handle_secret_lookup_by_uuid(VimgCall *call, GError **error);
gboolean vimg_handle_secret_lookup_by_usage(VimgCall *call, GError **error);
gboolean vimg_handle_secret_define_xml(VimgCall *call, GError **error);
gboolean vimg_handle_secret_get_xml_desc(VimgCall *call, GError **error);
gboolean vimg_handle_secret_set_value(VimgCall *call, GError **error);
gboolean vimg_handle_secret_get_value(VimgCall *call, GError **error);
gboolean vimg_handle_secret_undefine(VimgCall *call, GError **error);

/* ---- handlers-control.c --------------------------------------------------------------------- */

gboolean vimg_handle_pool_cleanup(VimgCall *call, GError **error);
gboolean vimg_handle_pool_verify(VimgCall *call, GError **error);
gboolean vimg_handle_trash_list(VimgCall *call, GError **error);
gboolean vimg_handle_trash_restore(VimgCall *call, GError **error);
gboolean vimg_handle_trash_purge(VimgCall *call, GError **error);
gboolean vimg_handle_job_list(VimgCall *call, GError **error);
gboolean vimg_handle_job_cancel(VimgCall *call, GError **error);

/* ---- handlers-common.c, for our own program ------------------------------------------------- */

/* Returns: (transfer none) the text, or NULL. */
const char *vimg_optional_from_wire(const vimg_remote_optional_text text);
/* Returns: (transfer full) @text, which moves, on the wire. */
vimg_remote_optional_text vimg_optional_to_wire(char **text);
/* @report: (transfer full) becomes the answer; NULL: there is an error.  Returns: whether not. */
gboolean vimg_answer_report(VimgCall *call, char *report);
/* Whether a page may hold so many entries. */
gboolean vimg_check_page(guint max, GError **error);

/* ---- handlers-status.c ---------------------------------------------------------------------- */

gboolean vimg_handle_status(VimgCall *call, GError **error);
gboolean vimg_handle_volume_list(VimgCall *call, GError **error);
gboolean vimg_handle_volume_show(VimgCall *call, GError **error);
gboolean vimg_handle_metrics(VimgCall *call, GError **error);

/* ---- handlers-usage.c ----------------------------------------------------------------------- */

gboolean vimg_handle_pool_usage(VimgCall *call, GError **error);
gboolean vimg_handle_vol_diff(VimgCall *call, GError **error);
gboolean vimg_handle_vol_flatten(VimgCall *call, GError **error);
gboolean vimg_handle_pool_doctor(VimgCall *call, GError **error);

/* ---- handlers-edit.c ------------------------------------------------------------------------ */

gboolean vimg_handle_pool_enable(VimgCall *call, GError **error);
gboolean vimg_handle_pool_describe(VimgCall *call, GError **error);
gboolean vimg_handle_pool_rename(VimgCall *call, GError **error);
gboolean vimg_handle_host_key_accept(VimgCall *call, GError **error);
gboolean vimg_handle_zone_list(VimgCall *call, GError **error);
gboolean vimg_handle_zone_attach(VimgCall *call, GError **error);
gboolean vimg_handle_zone_detach(VimgCall *call, GError **error);
gboolean vimg_handle_zone_delete(VimgCall *call, GError **error);

/* ---- handlers-import.c ---------------------------------------------------------------------- */

gboolean vimg_handle_pool_sync(VimgCall *call, GError **error);

gboolean vimg_handle_volume_import(VimgCall *call, GError **error);

/* ---- handlers-export.c ---------------------------------------------------------------------- */

gboolean vimg_handle_export_create(VimgCall *call, GError **error);
gboolean vimg_handle_export_list(VimgCall *call, GError **error);
gboolean vimg_handle_export_revoke(VimgCall *call, GError **error);
gboolean vimg_handle_nbd_start(VimgCall *call, GError **error);
gboolean vimg_handle_nbd_stop(VimgCall *call, GError **error);

/* ---- handlers-primary.c --------------------------------------------------------------------- */

gboolean vimg_handle_match(VimgCall *call, GError **error);
gboolean vimg_handle_vol_hold(VimgCall *call, GError **error);
gboolean vimg_handle_vol_fill(VimgCall *call, GError **error);

/* ---- events.c ------------------------------------------------------------------------------- */

gboolean vimg_handle_job_watch(VimgCall *call, GError **error);
gboolean vimg_handle_job_bind(VimgCall *call, GError **error);
gboolean vimg_handle_pool_event_register(VimgCall *call, GError **error);
gboolean vimg_handle_pool_event_deregister(VimgCall *call, GError **error);
gboolean vimg_handle_secret_event_register(VimgCall *call, GError **error);
gboolean vimg_handle_secret_event_deregister(VimgCall *call, GError **error);

#endif
