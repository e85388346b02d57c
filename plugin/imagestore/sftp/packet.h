/*
 * packet.h: requests and replies of SFTP version 3 as bytes
 *
 * Pure functions; replies come from a server that may be hostile.
 *
 * Source: draft-ietf-secsh-filexfer-02, sections 3 to 7; OpenSSH PROTOCOL, section 4.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_PACKET_H
#define VIMG_IMAGESTORE_SFTP_PACKET_H

#include "vimg-plugin.h"

#define VIMG_SFTP_PACKET_MAX ((guint32)256 * 1024) /* bytes without the length in front */
#define VIMG_SFTP_HANDLE_MAX 256

/* Requests; those from EXTENDED on are named extensions of OpenSSH. */
typedef enum {
    VIMG_SFTP_OPEN = 3,
    VIMG_SFTP_CLOSE = 4,
    VIMG_SFTP_READ = 5,
    VIMG_SFTP_WRITE = 6,
    VIMG_SFTP_LSTAT = 7,
    VIMG_SFTP_FSTAT = 8,
    VIMG_SFTP_OPENDIR = 11,
    VIMG_SFTP_READDIR = 12,
    VIMG_SFTP_REMOVE = 13,
    VIMG_SFTP_MKDIR = 14,
    VIMG_SFTP_RMDIR = 15,
    VIMG_SFTP_REALPATH = 16,
    VIMG_SFTP_STAT = 17,
    VIMG_SFTP_RENAME = 18,
    VIMG_SFTP_EXTENDED = 200,
    VIMG_SFTP_POSIX_RENAME,
    VIMG_SFTP_FSYNC,
    VIMG_SFTP_STATVFS,
    VIMG_SFTP_HARDLINK,
    VIMG_SFTP_LIMITS,
} VimgSftpType;

/* Status codes of section 7. */
typedef enum {
    VIMG_SFTP_OK,
    VIMG_SFTP_EOF,
    VIMG_SFTP_NO_SUCH_FILE,
    VIMG_SFTP_PERMISSION_DENIED,
    VIMG_SFTP_FAILURE,
    VIMG_SFTP_BAD_MESSAGE,
    VIMG_SFTP_NO_CONNECTION,
    VIMG_SFTP_CONNECTION_LOST,
    VIMG_SFTP_OP_UNSUPPORTED,
} VimgSftpStatus;

typedef struct {
    gboolean has_size, has_mode, has_times; /* what the server told */
    guint64 size;
    guint32 mode;  /* with the type bits of stat(2) */
    guint32 mtime; /* seconds since 1970 */
} VimgSftpAttrs;

typedef struct {
    char *name;
    VimgSftpAttrs attrs;
} VimgSftpName;

/* One parsed reply, borrowed from the packet but for @names. */
typedef struct {
    guint8 type; /* 101 STATUS, 102 HANDLE, 103 DATA, 104 NAME, 105 ATTRS, 201 EXTENDED_REPLY */
    guint32 id;
    guint32 status;     /* STATUS, else VIMG_SFTP_OK */
    const guint8 *data; /* HANDLE, DATA, EXTENDED_REPLY */
    guint32 size;
    VimgSftpAttrs attrs; /* ATTRS */
    GPtrArray *names;    /* NAME: of VimgSftpName, without "." and ".." */
} VimgSftpReply;

#endif
