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
#define VIMG_SFTP_VERSION 3

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

/* Flags of OPEN. */
typedef enum {
    VIMG_SFTP_FLAG_READ = 1 << 0,
    VIMG_SFTP_FLAG_WRITE = 1 << 1,
    VIMG_SFTP_FLAG_APPEND = 1 << 2,
    VIMG_SFTP_FLAG_CREATE = 1 << 3,
    VIMG_SFTP_FLAG_TRUNCATE = 1 << 4,
    VIMG_SFTP_FLAG_EXCLUSIVE = 1 << 5,
} VimgSftpFlags;

/* Types of replies. */
typedef enum {
    VIMG_SFTP_STATUS = 101,
    VIMG_SFTP_HANDLE = 102,
    VIMG_SFTP_DATA = 103,
    VIMG_SFTP_NAME = 104,
    VIMG_SFTP_ATTRS = 105,
    VIMG_SFTP_EXTENDED_REPLY = 201,
} VimgSftpAnswer;

/* Status codes of section 7; a server may send others. */
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

/*
 * One parsed reply, borrowed from the packet but for @names.  Its type is the one that the request
 * asks for, with VIMG_SFTP_OK, or it is STATUS; of requests that answer more, it is then never OK.
 */
typedef struct {
    guint8 type; /* VimgSftpAnswer */
    guint32 id;
    guint32 status;     /* STATUS, else VIMG_SFTP_OK */
    const guint8 *data; /* HANDLE, DATA, EXTENDED_REPLY */
    guint32 size;
    VimgSftpAttrs attrs; /* ATTRS */
    GPtrArray *names;    /* NAME: of VimgSftpName, whose strings may be stolen */
} VimgSftpReply;

typedef enum {
    VIMG_SFTP_UNKNOWN,
    VIMG_SFTP_YES,
    VIMG_SFTP_NO,
} VimgSftpAble;

/* What a server said of itself. */
typedef struct {
    gboolean posix_rename;
    gboolean fsync;
    gboolean statvfs;
    gboolean hardlink;
    gboolean limits;
    guint32 read_max; /* bytes of one READ: from limits@openssh.com, else 32 KiB */
    guint32 write_max;
    guint64 handles_max;      /* open at once; 0: not known */
    VimgSftpAble directories; /* whether OPEN takes them; the session's thread's */
} VimgSftpServer;

/* From statvfs@openssh.com. */
typedef struct {
    guint64 total;     /* bytes */
    guint64 available; /* bytes an ordinary user may still write */
    gboolean read_only;
} VimgSftpSpace;

typedef struct _VimgSftpRequest VimgSftpRequest; /* session.h */

/*
 * Returns: bytes of the packet of @request with its length in front; 0 if it has no room in @size,
 * or is of a type that we do not know.
 */
gsize vimg_sftp_encode(const VimgSftpRequest *request, guint8 *out, gsize size);
gsize vimg_sftp_encode_init(guint8 *out, gsize size);
/* What @type is answered with unless it fails; 0 if we do not know it. */
guint8 vimg_sftp_answer(VimgSftpType type);

/* The functions below take packets without the length in front.  FALSE: they are malformed. */
gboolean vimg_sftp_version_parse(const guint8 *packet, gsize size, guint32 *version,
                                 VimgSftpServer *out);
/* The id of a reply, by which its request is found. */
gboolean vimg_sftp_reply_id(const guint8 *packet, gsize size, guint32 *id);
/*
 * A reply to a request of @type, in @out zeroed and later cleared also when it fails.  Names of
 * READDIR are without "." and "..", never empty and without '/'; REALPATH has exactly one; none
 * has a NUL, all may be no UTF-8.
 */
gboolean vimg_sftp_reply_parse(VimgSftpType type, const guint8 *packet, gsize size,
                               VimgSftpReply *out);
void vimg_sftp_reply_clear(VimgSftpReply *reply);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgSftpReply, vimg_sftp_reply_clear)
/* Replies to LIMITS, which no server's words take below 32 KiB or above a packet, and STATVFS. */
gboolean vimg_sftp_limits_parse(const VimgSftpReply *reply, VimgSftpServer *out);
gboolean vimg_sftp_space_parse(const VimgSftpReply *reply, VimgSftpSpace *out);

#endif
