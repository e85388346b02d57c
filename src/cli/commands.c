/*
 * commands.c: the commands of virtimagectl, in the order in which its help shows them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/command.h"
#include "util/i18n.h"

const VimgCommandOption vimg_common_options[] = {
    {"connect", "URI", N_("The daemon to ask, as virsh -c names it")},
    {"readonly", NULL, N_("Use the socket on which nothing can be changed")},
    {"json", NULL, N_("Print JSON for programs")},
    {"bytes", NULL, N_("Print sizes exactly")},
    {"quiet", NULL, N_("Print no headings and nothing that only says that all went well")},
    {"progress", "WHEN", N_("auto (on a terminal), json (lines on standard error) or none")},
    {"yes", NULL, N_("Do not ask for confirmation")},
    {"help", NULL, N_("Explain the command")},
    {"version", NULL, N_("Show the version")},
    {0},
};

static const VimgCommandOption cleanup_options[] = {
    {"dry-run", NULL, N_("Only say what would be removed")},
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

const VimgCommand vimg_commands[] = {
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
    {"metrics", "", 0, 0, N_("Print numbers for a monitoring system, as OpenMetrics"),
     vimg_cmd_metrics, NULL},
    {"upload", "FILE POOL [IMAGE]", 2, 3,
     N_("Store a file as an image, or go on with what was cut off"), vimg_cmd_upload,
     upload_options},
    {"download", "POOL IMAGE [FILE]", 2, 3,
     N_("Get an image as a file, or on standard output as '-'"), vimg_cmd_download,
     download_options},
    {"help", "[COMMAND]", 0, 2, N_("Explain the commands, or one of them"), vimg_cmd_help, NULL},
    {"version", "", 0, 0, N_("Show the version"), vimg_cmd_version, NULL},
    {0},
};
