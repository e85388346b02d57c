/*
 * host-info.h: what clients ask of the machine itself: processors, memory, uuid
 *
 * Everything is read below a root directory, so that tests show other machines.  What cannot be
 * read is guessed in the way libvirt does; nothing here fails.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_HOST_INFO_H
#define VIMG_RPC_HOST_INFO_H

#include <glib.h>

#include "util/uuid.h"

typedef struct {
    char arch[32];  /* as uname says */
    guint64 memory; /* KiB */
    int cpus;       /* online */
    int mhz;        /* 0: not known */
    int nodes;      /* NUMA nodes */
    int sockets;    /* of a node */
    int cores;      /* of a socket */
    int threads;    /* of a core; nodes × sockets × cores × threads is at least cpus */
} VimgHostInfo;

/* @root: "" for this machine. */
void vimg_host_info_read(const char *root, VimgHostInfo *out);

/* From the firmware, else from machine-id.  Returns: FALSE if there is neither. */
gboolean vimg_host_uuid_read(const char *root, guint8 uuid[VIMG_UUID_SIZE]);

/* Returns: (transfer full) a <capabilities> document of a host without guests. */
char *vimg_host_capabilities(const char *root);

#endif
