/*
 * packet.c: replies of SFTP, out of bytes that anybody may have made
 *
 * Every length is looked at before it is used, and memory is proportional to the bytes given.  A
 * packet with something behind its end is malformed as well: what we do not understand is not taken
 * for what we asked.
 *
 * Source: draft-ietf-secsh-filexfer-02, sections 4, 5 and 7; OpenSSH PROTOCOL, section 4.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "packet.h"

#define VERSION 2
#define ATTR_SIZE ((guint32)1 << 0)
#define ATTR_OWNER ((guint32)1 << 1)
#define ATTR_MODE ((guint32)1 << 2)
#define ATTR_TIMES ((guint32)1 << 3)
#define ATTR_EXTENDED ((guint32)1 << 31)
#define ATTR_KNOWN (ATTR_SIZE | ATTR_OWNER | ATTR_MODE | ATTR_TIMES | ATTR_EXTENDED)
#define MIN_NAME 12 /* bytes of the shortest name: two strings and the flags of its attributes */
#define STATVFS_READ_ONLY 1
/* What every server takes, by the draft: packets of 34,000 bytes. */
#define DATA_MIN ((guint32)32 * 1024)
/* More than all of a packet but its data. */
#define DATA_AROUND 1024

/* Bytes still to be read; once they were too few, @bad stays. */
typedef struct {
    const guint8 *at;
    const guint8 *end;
    gboolean bad;
} Reader;

static const guint8 *
take(Reader *reader, gsize size)
{
    const guint8 *at = reader->at;

    if (reader->bad || size > (gsize)(reader->end - reader->at)) {
        reader->bad = TRUE;
        return NULL;
    }
    reader->at += size;
    return at;
}

static guint8
take8(Reader *reader)
{
    const guint8 *at = take(reader, 1);

    return at ? *at : 0;
}

static guint32
take32(Reader *reader)
{
    const guint8 *at = take(reader, 4);
    guint32 value = 0;

    if (at)
        memcpy(&value, at, sizeof(value));
    return GUINT32_FROM_BE(value);
}

static guint64
take64(Reader *reader)
{
    const guint8 *at = take(reader, 8);
    guint64 value = 0;

    if (at)
        memcpy(&value, at, sizeof(value));
    return GUINT64_FROM_BE(value);
}

static const guint8 *
take_bytes(Reader *reader, guint32 *size)
{
    const guint8 *at;

    *size = take32(reader);
    at = take(reader, *size);
    if (!at)
        *size = 0;
    return at;
}

static void
skip_pairs(Reader *reader)
{
    guint32 n = take32(reader);
    guint32 size;

    while (n-- > 0 && !reader->bad) {
        take_bytes(reader, &size);
        take_bytes(reader, &size);
    }
}

static void
take_attrs(Reader *reader, VimgSftpAttrs *out)
{
    guint32 flags = take32(reader);

    if (flags & ~ATTR_KNOWN) {
        reader->bad = TRUE;
        return;
    }
    out->has_size = (flags & ATTR_SIZE) != 0;
    out->has_mode = (flags & ATTR_MODE) != 0;
    out->has_times = (flags & ATTR_TIMES) != 0;
    if (out->has_size)
        out->size = take64(reader);
    if (flags & ATTR_OWNER)
        take(reader, 8);
    if (out->has_mode)
        out->mode = take32(reader);
    if (out->has_times) {
        take32(reader);
        out->mtime = take32(reader);
    }
    if (flags & ATTR_EXTENDED)
        skip_pairs(reader);
}

static void
name_free(gpointer data)
{
    VimgSftpName *name = data;

    g_free(name->name);
    g_free(name);
}

/* One name of READDIR, or the path of REALPATH. */
static void
take_name(Reader *reader, gboolean is_path, GPtrArray *names)
{
    VimgSftpAttrs attrs = {0};
    guint32 size;
    guint32 long_size;
    const guint8 *text = take_bytes(reader, &size);
    VimgSftpName *name;

    take_bytes(reader, &long_size);
    take_attrs(reader, &attrs);
    if (reader->bad)
        return;
    if (size == 0 || memchr(text, 0, size) || (!is_path && memchr(text, '/', size))) {
        reader->bad = TRUE;
        return;
    }
    if (!is_path && size <= 2 && memcmp(text, "..", size) == 0)
        return;
    name = g_new(VimgSftpName, 1);
    name->name = g_strndup((const char *)text, size);
    name->attrs = attrs;
    g_ptr_array_add(names, name);
}

static GPtrArray *
take_names(Reader *reader, gboolean is_path)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(name_free);
    guint32 n = take32(reader);

    if (n > (gsize)(reader->end - reader->at) / MIN_NAME || (is_path && n != 1))
        reader->bad = TRUE;
    while (n-- > 0 && !reader->bad)
        take_name(reader, is_path, names);
    return names;
}

static void
take_body(Reader *reader, VimgSftpType type, VimgSftpReply *out)
{
    switch (out->type) {
    case VIMG_SFTP_STATUS:
        out->status = take32(reader);
        /* the server's words, which not every server sends and nobody asked for */
        reader->at = reader->end;
        break;
    case VIMG_SFTP_HANDLE:
        out->data = take_bytes(reader, &out->size);
        if (out->size == 0 || out->size > VIMG_SFTP_HANDLE_MAX)
            reader->bad = TRUE;
        break;
    case VIMG_SFTP_DATA:
        out->data = take_bytes(reader, &out->size);
        if (out->size == 0)
            reader->bad = TRUE;
        break;
    case VIMG_SFTP_NAME:
        out->names = take_names(reader, type == VIMG_SFTP_REALPATH);
        break;
    case VIMG_SFTP_ATTRS:
        take_attrs(reader, &out->attrs);
        break;
    default:
        out->size = (guint32)(reader->end - reader->at);
        out->data = take(reader, out->size);
    }
}

gboolean
vimg_sftp_reply_id(const guint8 *packet, gsize size, guint32 *id)
{
    Reader reader = {packet, packet + size, FALSE};

    take8(&reader);
    *id = take32(&reader);
    return !reader.bad;
}

gboolean
vimg_sftp_reply_parse(VimgSftpType type, const guint8 *packet, gsize size, VimgSftpReply *out)
{
    Reader reader = {packet, packet + size, FALSE};
    guint8 answer = vimg_sftp_answer(type);

    out->type = take8(&reader);
    out->id = take32(&reader);
    if (reader.bad || (out->type != answer && out->type != VIMG_SFTP_STATUS))
        return FALSE;
    take_body(&reader, type, out);
    if (reader.bad || reader.at != reader.end)
        return FALSE;
    return out->type == answer || out->status != VIMG_SFTP_OK;
}

void
vimg_sftp_reply_clear(VimgSftpReply *reply)
{
    g_clear_pointer(&reply->names, g_ptr_array_unref);
    memset(reply, 0, sizeof(*reply));
}

/* One row an extension that we make use of. */
static const struct {
    const char *name;
    const char *version;
    gsize offset;
} extensions[] = {
    {"posix-rename@openssh.com", "1", G_STRUCT_OFFSET(VimgSftpServer, posix_rename)},
    {"fsync@openssh.com", "1", G_STRUCT_OFFSET(VimgSftpServer, fsync)},
    {"statvfs@openssh.com", "2", G_STRUCT_OFFSET(VimgSftpServer, statvfs)},
    {"hardlink@openssh.com", "1", G_STRUCT_OFFSET(VimgSftpServer, hardlink)},
    {"limits@openssh.com", "1", G_STRUCT_OFFSET(VimgSftpServer, limits)},
};

static gboolean
is_text(const guint8 *data, guint32 size, const char *text)
{
    return size == strlen(text) && memcmp(data, text, size) == 0;
}

static void
take_extension(Reader *reader, VimgSftpServer *out)
{
    guint32 name_size;
    guint32 version_size;
    const guint8 *name = take_bytes(reader, &name_size);
    const guint8 *version = take_bytes(reader, &version_size);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(extensions) && !reader->bad; i++) {
        if (is_text(name, name_size, extensions[i].name) &&
            is_text(version, version_size, extensions[i].version))
            G_STRUCT_MEMBER(gboolean, out, extensions[i].offset) = TRUE;
    }
}

gboolean
vimg_sftp_version_parse(const guint8 *packet, gsize size, guint32 *version, VimgSftpServer *out)
{
    Reader reader = {packet, packet + size, FALSE};

    memset(out, 0, sizeof(*out));
    out->read_max = DATA_MIN;
    out->write_max = DATA_MIN;
    if (take8(&reader) != VERSION)
        return FALSE;
    *version = take32(&reader);
    while (!reader.bad && reader.at != reader.end)
        take_extension(&reader, out);
    return !reader.bad;
}

gboolean
vimg_sftp_limits_parse(const VimgSftpReply *reply, VimgSftpServer *out)
{
    Reader reader = {reply->data, reply->data + reply->size, FALSE};
    guint64 packet_max = take64(&reader);
    guint64 read_max = take64(&reader);
    guint64 write_max = take64(&reader);
    guint64 handles_max = take64(&reader);

    if (reader.bad)
        return FALSE;
    /* 0 is no limit at all */
    if (packet_max == 0 || packet_max > VIMG_SFTP_PACKET_MAX)
        packet_max = VIMG_SFTP_PACKET_MAX;
    packet_max = CLAMP(packet_max, DATA_MIN + DATA_AROUND, VIMG_SFTP_PACKET_MAX) - DATA_AROUND;
    out->read_max = (guint32)(read_max == 0 ? packet_max : CLAMP(read_max, DATA_MIN, packet_max));
    out->write_max =
        (guint32)(write_max == 0 ? packet_max : CLAMP(write_max, DATA_MIN, packet_max));
    out->handles_max = handles_max;
    return TRUE;
}

static guint64
product(guint64 a, guint64 b)
{
    guint64 result;

    return __builtin_mul_overflow(a, b, &result) ? G_MAXUINT64 : result;
}

gboolean
vimg_sftp_space_parse(const VimgSftpReply *reply, VimgSftpSpace *out)
{
    Reader reader = {reply->data, reply->data + reply->size, FALSE};
    guint64 block;
    guint64 fragment;
    guint64 flags;

    block = take64(&reader);
    fragment = take64(&reader);
    if (fragment == 0)
        fragment = block;
    out->total = product(fragment, take64(&reader));
    take64(&reader); /* free to the superuser */
    out->available = product(fragment, take64(&reader));
    take(&reader, 4 * 8); /* files, twice those that are free, the file system's id */
    flags = take64(&reader);
    take64(&reader); /* longest name */
    out->read_only = (flags & STATVFS_READ_ONLY) != 0;
    return !reader.bad;
}
