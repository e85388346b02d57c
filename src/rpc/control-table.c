/*
 * control-table.c: virtimage's own program, procedure by procedure
 *
 * Verifying changes nothing, but keeps a storage busy for hours; the trash is asked for in the
 * storage itself, which is not for everybody either.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "rpc/handlers.h"
#include "rpc/merge.h"
#include "wire/frame.h"

/* Takes no arguments or returns nothing. */
typedef char vimg_control_none[0];

static bool_t
xdr_vimg_control_none(XDR *xdr, vimg_control_none *none)
{
    return TRUE;
}

typedef vimg_remote_vol vimg_control_vol;
#define xdr_vimg_control_vol xdr_vimg_remote_vol

typedef vimg_remote_pool vimg_control_pool;
#define xdr_vimg_control_pool xdr_vimg_remote_pool

#define FAST VIMG_PROC_MEMORY
#define WRITES VIMG_PROC_WRITES
#define POOL (VIMG_PROC_POOL_ARG | VIMG_PROC_POOL_UUID)
#define LONG VIMG_PROC_LONG

/* IN and OUT are types of control.x, without their prefix. */
#define ROW(NUMBER, NAME, IN, OUT, HANDLER, FLAGS)                                                 \
    FULL_ROW(NUMBER, NAME, IN, OUT, HANDLER, FLAGS, NULL)

/* Asks the host's own daemon too, as KIND of merge.h says. */
#define MERGED(NUMBER, NAME, IN, OUT, HANDLER, FLAGS, KIND)                                        \
    FULL_ROW(NUMBER, NAME, IN, OUT, HANDLER, FLAGS, &vimg_merge_##KIND)

#define FULL_ROW(NUMBER, NAME, IN, OUT, HANDLER, FLAGS, MERGE)                                     \
    [VIMG_CONTROL_##NUMBER] = {.name = NAME,                                                       \
                               .args = (xdrproc_t)xdr_vimg_control_##IN,                           \
                               .args_size = sizeof(vimg_control_##IN),                             \
                               .ret = (xdrproc_t)xdr_vimg_control_##OUT,                           \
                               .ret_size = sizeof(vimg_control_##OUT),                             \
                               .handler = vimg_handle_##HANDLER,                                   \
                               .flags = FLAGS,                                                     \
                               .domain = VIR_FROM_STORAGE,                                         \
                               .merge = MERGE}

static const VimgProc procs[] = {
    ROW(POOL_CLEANUP, "poolCleanup", cleanup_args, report, pool_cleanup, WRITES | POOL | LONG),
    ROW(POOL_VERIFY, "poolVerify", verify_args, report, pool_verify, WRITES | POOL | LONG),
    ROW(TRASH_LIST, "trashList", trash_args, trash_ret, trash_list, WRITES | POOL),
    ROW(TRASH_RESTORE, "trashRestore", restore_args, vol, trash_restore, WRITES | POOL),
    ROW(TRASH_PURGE, "trashPurge", purge_args, none, trash_purge, WRITES | POOL),
    ROW(JOB_LIST, "jobList", none, jobs_ret, job_list, FAST),
    ROW(JOB_CANCEL, "jobCancel", job_args, none, job_cancel, FAST | WRITES),
    MERGED(STATUS, "status", status_args, report, status, FAST, status),
    ROW(VOLUME_LIST, "volumeList", volumes_args, volumes_ret, volume_list, FAST),
    ROW(VOLUME_SHOW, "volumeShow", volume_args, report, volume_show, FAST),
    ROW(METRICS, "metrics", none, report, metrics, FAST),
    ROW(JOB_BIND, "jobBind", none, none, job_bind, FAST),
    ROW(JOB_WATCH, "jobWatch", watch_args, none, job_watch, FAST),
    ROW(POOL_USAGE, "poolUsage", pool, report, pool_usage, WRITES | POOL | LONG),
    ROW(VOLUME_DIFF, "volumeDiff", diff_args, report, vol_diff, WRITES | POOL | LONG),
    ROW(VOLUME_FLATTEN, "volumeFlatten", volume_args, report, vol_flatten, WRITES | POOL | LONG),
    ROW(POOL_DOCTOR, "poolDoctor", pool, report, pool_doctor, WRITES | POOL | LONG),
    ROW(POOL_ENABLE, "poolEnable", enable_args, none, pool_enable, WRITES | POOL),
    ROW(POOL_DESCRIBE, "poolDescribe", describe_args, none, pool_describe, WRITES | POOL),
    MERGED(POOL_RENAME, "poolRename", rename_args, none, pool_rename, WRITES | POOL, rename),
    ROW(HOST_KEY_ACCEPT, "hostKeyAccept", host_key_args, none, host_key_accept, WRITES | POOL),
    ROW(ZONE_LIST, "zoneList", none, report, zone_list, FAST),
    ROW(ZONE_ATTACH, "zoneAttach", zone_args, none, zone_attach, WRITES | POOL),
    ROW(ZONE_DETACH, "zoneDetach", zone_args, none, zone_detach, WRITES | POOL),
    ROW(ZONE_DELETE, "zoneDelete", zone_delete_args, none, zone_delete, WRITES),
    ROW(POOL_SYNC, "poolSync", sync_args, report, pool_sync, WRITES | POOL | LONG),
    ROW(VOLUME_IMPORT, "volumeImport", import_args, report, volume_import,
        WRITES | POOL | LONG | VIMG_PROC_IMPORT),
    ROW(EXPORT_CREATE, "exportCreate", export_args, export_ret, export_create,
        WRITES | POOL | LONG | VIMG_PROC_SECRET),
    ROW(EXPORT_LIST, "exportList", exports_args, exports_ret, export_list, FAST),
    ROW(EXPORT_REVOKE, "exportRevoke", revoke_args, none, export_revoke, WRITES),
    ROW(NBD_START, "nbdStart", volume_args, nbd_ret, nbd_start, WRITES | POOL | LONG),
    ROW(VOLUME_HOLD, "volumeHold", moment_args, none, vol_hold, WRITES | VIMG_PROC_POOL_ARG),
    ROW(VOLUME_FILL, "volumeFill", moment_args, report, vol_fill,
        WRITES | VIMG_PROC_POOL_ARG | LONG),
    ROW(MATCH, "match", status_args, report, match, 0),
    ROW(NBD_STOP, "nbdStop", revoke_args, none, nbd_stop, WRITES),
};

const VimgProgram vimg_control_program = {
    .id = VIMG_PROGRAM_CONTROL,
    .version = 1,
    .procs = procs,
    .n_procs = G_N_ELEMENTS(procs),
};
