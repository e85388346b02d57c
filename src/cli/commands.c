/*
 * commands.c: the commands of virtimagectl, in the order in which its help shows them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/command.h"
#include "util/i18n.h"

const VimgCommandOption vimg_common_options[] = {
    {"connect", "URI", N_("The daemon to ask, as virsh -c names it"), 'c'},
    {"readonly", NULL, N_("Use the socket on which nothing can be changed"), 'r'},
    {"json", NULL, N_("Print JSON for programs")},
    {"bytes", NULL, N_("Print sizes exactly")},
    {"quiet", NULL, N_("Print no headings and nothing that only says that all went well"), 'q'},
    {"progress", "WHEN", N_("auto (on a terminal), json (lines on standard error) or none")},
    {"yes", NULL, N_("Do not ask for confirmation"), 'y'},
    {"help", NULL, N_("Explain the command"), 'h'},
    {"version", NULL, N_("Show the version"), 'V'},
    {0},
};

static const VimgCommandOption cleanup_options[] = {
    {"dry-run", NULL, N_("Only say what would be removed")},
    {0},
};

static const VimgCommandOption diff_options[] = {
    {"extents", NULL, N_("List where the two differ")},
    {0},
};

static const VimgCommandOption import_options[] = {
    {"digest", "DIGEST", N_("sha256:HEX or sha512:HEX of the file as the server has it")},
    {"format", "FORMAT", N_("The format of the image; otherwise it is recognised")},
    {"no-resume", NULL, N_("Throw away what an earlier attempt left, and begin anew")},
    {0},
};

static const VimgCommandOption upload_options[] = {
    {"format", "FORMAT", N_("Declare the format, which is recognised otherwise")},
    {"checksum", "TYPE:HEX", N_("What the content must be: sha256 or sha512 of all of it")},
    {"no-resume", NULL, N_("Throw away what an earlier attempt left, and begin anew")},
    {"retry", "SECONDS", N_("How long to wait for a daemon that went away (60)")},
    {0},
};

static const VimgCommandOption download_options[] = {
    {"checksum", "TYPE:HEX", N_("What the content must be: sha256 or sha512 of all of it")},
    {"no-resume", NULL, N_("Throw away what an earlier attempt left, and begin anew")},
    {"retry", "SECONDS", N_("How long to wait for a daemon that went away (60)")},
    {0},
};

static const VimgCommandOption export_options[] = {
    {"format", "FORMAT", N_("raw or qcow2; otherwise as the image is stored")},
    {"expires", "TIME", N_("How long, as 90s, 30m, 12h, 7d or 4w (7d)")},
    {"compress", NULL, N_("Let the download be packed by zstd, without ranges and checksum")},
    {"direct", NULL, N_("A URL of the storage itself, which nobody can revoke")},
    {0},
};

static const VimgCommandOption sync_options[] = {
    {"delete-missing", NULL, N_("Move to the trash what the first pool does not have")},
    {"bandwidth", "RATE", N_("Bytes a second at most, also with k, M or G behind")},
    {0},
};

static const VimgCommandOption machine_image_options[] = {
    {"incremental", NULL, N_("Read only what was changed since the last such image")},
    {"disk", "TARGET[,TARGET]...", N_("The disks, as vda; otherwise all that are written to")},
    {"machines", "URI", N_("Where the machine is, if not at the daemon's own connection")},
    {"scratch", "DIR", N_("Where what the guest overwrites meanwhile is kept")},
    {"reserve", "SIZE", N_("What must stay free there, also with k, M or G behind")},
    {"freeze", "SECONDS", N_("How long the guest may take to freeze file systems; 0: it does not")},
    {0},
};

static const VimgCommandOption machine_snapshot_options[] = {
    {"incremental", NULL, N_("Read only what was changed since the last such image")},
    {"list", NULL, N_("List the snapshots of the machine in all pools")},
    {"machines", "URI", N_("Where the machine is, if not at the daemon's own connection")},
    {"scratch", "DIR", N_("Where what the guest overwrites meanwhile is kept")},
    {"reserve", "SIZE", N_("What must stay free there, also with k, M or G behind")},
    {"freeze", "SECONDS", N_("How long the guest may take to freeze file systems; 0: it does not")},
    {0},
};

static const VimgCommandOption machine_restore_options[] = {
    {"pool", "POOL", N_("Where the snapshot is, if more than one pool has it")},
    {"machines", "URI", N_("Where the machine is, if not at the daemon's own connection")},
    {"scratch", "DIR", N_("Where commands keep each other off a machine")},
    {0},
};

static const VimgCommandOption machine_clone_options[] = {
    {"with-data-volumes", NULL, N_("Clone all disks, not only the one that it boots from")},
    {"flatten", NULL, N_("Give the new disks all of their data, so that they need no other")},
    {"start", NULL, N_("Start the new machine")},
    {"pool", "POOL", N_("The pool that the images pass through, if there is more than one")},
    {"primary", "POOL", N_("The host's pool for the new disks; otherwise those of the old ones")},
    {"machines", "URI", N_("Where the machine is, if not at the daemon's own connection")},
    {"scratch", "DIR", N_("Where what the guest overwrites meanwhile is kept")},
    {"reserve", "SIZE", N_("What must stay free there, also with k, M or G behind")},
    {"freeze", "SECONDS", N_("How long the guest may take to freeze file systems; 0: it does not")},
    {0},
};

static const VimgCommandOption help_options[] = {
    {"completion", NULL, N_("Print commands and options for a shell's completion")},
    {0},
};

const VimgCommand vimg_commands[] = {
    {"status", "[POOL]", 0, 1, N_("Show how the pools are, or all of one of them"), vimg_cmd_status,
     NULL},
    {"list", "POOL", 1, 1, N_("List the images of a pool"), vimg_cmd_list, NULL},
    {"show", "POOL IMAGE", 2, 2, N_("Show all that is known of an image"), vimg_cmd_show, NULL},
    {"upload", "FILE POOL [IMAGE]", 2, 3,
     N_("Store a file as an image, or go on with what was cut off"), vimg_cmd_upload,
     upload_options},
    {"download", "POOL IMAGE [FILE]", 2, 3,
     N_("Get an image as a file, or on standard output as '-'"), vimg_cmd_download,
     download_options},
    {"import", "POOL IMAGE URL", 3, 3, N_("Have the daemon fetch an image from a URL"),
     vimg_cmd_import, import_options},
    {"export", "POOL IMAGE", 2, 2, N_("Let whoever has the URL that is printed download an image"),
     vimg_cmd_export, export_options},
    {"export list", "", 0, 0, N_("List the exports, those that ended lately too"),
     vimg_cmd_export_list, NULL},
    {"export revoke", "ID", 1, 1, N_("End an export at once"), vimg_cmd_export_revoke, NULL},
    {"nbd", "POOL IMAGE", 2, 2, N_("Serve an image to programs of this host, over a socket of NBD"),
     vimg_cmd_nbd, NULL},
    {"nbd stop", "ID", 1, 1, N_("End that at once, whoever uses it"), vimg_cmd_nbd_stop, NULL},
    {"sync", "POOL POOL [IMAGE]...", 2, G_MAXUINT,
     N_("Copy the images of one pool, or some, that the other does not have yet"), vimg_cmd_sync,
     sync_options},
    {"machine-image", "DOMAIN POOL NAME", 3, 3,
     N_("Make images of a machine's disks, all as they are at one moment"), vimg_cmd_machine_image,
     machine_image_options},
    {"machine-snapshot", "DOMAIN [POOL] [NAME]", 1, 3,
     N_("Make images of all disks of a machine that belong together, or list such"),
     vimg_cmd_machine_snapshot, machine_snapshot_options},
    {"machine-restore", "DOMAIN NAME", 2, 2,
     N_("Give the disks of a machine that is shut off what they held at a snapshot"),
     vimg_cmd_machine_restore, machine_restore_options},
    {"machine-clone", "DOMAIN NAME", 2, 2,
     N_("Make a new machine of one that runs, is paused or is shut off"), vimg_cmd_machine_clone,
     machine_clone_options},
    {"du", "POOL", 1, 1, N_("Show what each image takes, and what deleting it would free"),
     vimg_cmd_du, NULL},
    {"diff", "POOL IMAGE IMAGE", 3, 3, N_("Show in how much the second image differs"),
     vimg_cmd_diff, diff_options},
    {"flatten", "POOL IMAGE", 2, 2,
     N_("Give a clone all of its data, so that its source can be purged"), vimg_cmd_flatten, NULL},
    {"cleanup", "POOL", 1, 1, N_("Free what no image needs any more"), vimg_cmd_cleanup,
     cleanup_options},
    {"verify", "POOL [IMAGE]", 1, 2, N_("Read everything stored, or one image, and check it"),
     vimg_cmd_verify, NULL},
    {"trash list", "POOL", 1, 1, N_("List the deleted images that can be had back"),
     vimg_cmd_trash_list, NULL},
    {"trash restore", "POOL IMAGE|UUID [NAME]", 2, 3,
     N_("Bring a deleted image back, under another name if one is given"), vimg_cmd_trash_restore,
     NULL},
    {"trash purge", "POOL IMAGE|UUID", 2, 2, N_("Give a deleted image up for good"),
     vimg_cmd_trash_purge, NULL},
    {"jobs", "", 0, 0, N_("List what is running"), vimg_cmd_jobs, NULL},
    {"job-cancel", "ID", 1, 1, N_("End a job early"), vimg_cmd_job_cancel, NULL},
    {"pool-enable", "POOL", 1, 1, N_("Let images be added to a pool and deleted again"),
     vimg_cmd_pool_enable, NULL},
    {"pool-disable", "POOL", 1, 1, N_("Let the images of a pool only be read"),
     vimg_cmd_pool_disable, NULL},
    {"pool-describe", "POOL TEXT", 2, 2, N_("Set the description of a pool; empty: none"),
     vimg_cmd_pool_describe, NULL},
    {"pool-rename", "POOL NAME", 2, 2, N_("Rename a pool while it runs"), vimg_cmd_pool_rename,
     NULL},
    {"host-key accept", "POOL FINGERPRINT", 2, 2,
     N_("Know the server of a pool by the key with this fingerprint"), vimg_cmd_host_key_accept,
     NULL},
    {"match", "[PRIMARY]", 0, 1,
     N_("Show which pools of images serve which primary storage of the host"), vimg_cmd_match,
     NULL},
    {"zone list", "", 0, 0, N_("List the zones and the pools attached to them"), vimg_cmd_zone_list,
     NULL},
    {"zone attach", "POOL ZONE", 2, 2, N_("Attach a pool to a zone"), vimg_cmd_zone_attach, NULL},
    {"zone detach", "POOL ZONE", 2, 2, N_("Detach a pool from a zone"), vimg_cmd_zone_detach, NULL},
    {"zone delete", "ZONE", 1, 1,
     N_("Delete a zone and the definitions of the pools attached to it alone"),
     vimg_cmd_zone_delete, NULL},
    {"doctor", "POOL", 1, 1, N_("Go the way to a storage step by step, and say what is wrong"),
     vimg_cmd_doctor, NULL},
    {"metrics", "", 0, 0, N_("Print numbers for a monitoring system, as OpenMetrics"),
     vimg_cmd_metrics, NULL},
    {"explain", "ERROR", 1, 1, N_("Explain an error: its number, its name or a piece of its text"),
     vimg_cmd_explain, NULL},
    {"help", "[COMMAND]", 0, 2, N_("Explain the commands, or one of them"), vimg_cmd_help,
     help_options},
    {"version", "", 0, 0, N_("Show the version"), vimg_cmd_version, NULL},
    {0},
};
