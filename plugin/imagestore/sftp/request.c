/*
 * request.c: requests of SFTP as bytes
 *
 * Source: draft-ietf-secsh-filexfer-02, sections 3, 4, 6 and 8; OpenSSH PROTOCOL, section 4.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "session.h"

#define INIT 1
#define ATTR_MODE 4

/*
 * What follows the id: [p]ath, [t]o, [h]andle, [o]ffset, [s]ize, [d]ata, [f]lags, [a]ttributes.
 */
typedef struct {
    const char *fields;
    guint8 answer;
    const char *extension;
} Format;

static const Format formats[] = {
    [VIMG_SFTP_OPEN] = {"pfa", VIMG_SFTP_HANDLE},
    [VIMG_SFTP_CLOSE] = {"h", VIMG_SFTP_STATUS},
    [VIMG_SFTP_READ] = {"hos", VIMG_SFTP_DATA},
    [VIMG_SFTP_WRITE] = {"hod", VIMG_SFTP_STATUS},
    [VIMG_SFTP_LSTAT] = {"p", VIMG_SFTP_ATTRS},
    [VIMG_SFTP_FSTAT] = {"h", VIMG_SFTP_ATTRS},
    [VIMG_SFTP_OPENDIR] = {"p", VIMG_SFTP_HANDLE},
    [VIMG_SFTP_READDIR] = {"h", VIMG_SFTP_NAME},
    [VIMG_SFTP_REMOVE] = {"p", VIMG_SFTP_STATUS},
    [VIMG_SFTP_MKDIR] = {"pa", VIMG_SFTP_STATUS},
    [VIMG_SFTP_RMDIR] = {"p", VIMG_SFTP_STATUS},
    [VIMG_SFTP_REALPATH] = {"p", VIMG_SFTP_NAME},
    [VIMG_SFTP_STAT] = {"p", VIMG_SFTP_ATTRS},
    [VIMG_SFTP_RENAME] = {"pt", VIMG_SFTP_STATUS},
    [VIMG_SFTP_POSIX_RENAME] = {"pt", VIMG_SFTP_STATUS, "posix-rename@openssh.com"},
    [VIMG_SFTP_FSYNC] = {"h", VIMG_SFTP_STATUS, "fsync@openssh.com"},
    [VIMG_SFTP_STATVFS] = {"p", VIMG_SFTP_EXTENDED_REPLY, "statvfs@openssh.com"},
    [VIMG_SFTP_HARDLINK] = {"pt", VIMG_SFTP_STATUS, "hardlink@openssh.com"},
    [VIMG_SFTP_LIMITS] = {"", VIMG_SFTP_EXTENDED_REPLY, "limits@openssh.com"},
};

/* Bytes on their way; once they have no room, @full stays. */
typedef struct {
    guint8 *at;
    guint8 *end;
    gboolean full;
} Writer;

static void
put(Writer *writer, gconstpointer data, gsize size)
{
    if (writer->full || size > (gsize)(writer->end - writer->at)) {
        writer->full = TRUE;
        return;
    }
    if (size > 0)
        memcpy(writer->at, data, size);
    writer->at += size;
}

static void
put8(Writer *writer, guint8 value)
{
    put(writer, &value, sizeof(value));
}

static void
put32(Writer *writer, guint32 value)
{
    value = GUINT32_TO_BE(value);
    put(writer, &value, sizeof(value));
}

static void
put64(Writer *writer, guint64 value)
{
    value = GUINT64_TO_BE(value);
    put(writer, &value, sizeof(value));
}

static void
put_bytes(Writer *writer, gconstpointer data, gsize size)
{
    if (size > VIMG_SFTP_PACKET_MAX) {
        writer->full = TRUE;
        return;
    }
    put32(writer, (guint32)size);
    put(writer, data, size);
}

static void
put_attrs(Writer *writer, guint32 mode)
{
    put32(writer, mode != 0 ? ATTR_MODE : 0);
    if (mode != 0)
        put32(writer, mode);
}

static void
put_field(Writer *writer, const VimgSftpRequest *request, char field)
{
    switch (field) {
    case 'p':
        put_bytes(writer, request->path, strlen(request->path));
        break;
    case 't':
        put_bytes(writer, request->to, strlen(request->to));
        break;
    case 'h':
        put_bytes(writer, request->handle, request->handle_size);
        break;
    case 'o':
        put64(writer, request->offset);
        break;
    case 's':
        put32(writer, request->size);
        break;
    case 'd':
        put_bytes(writer, request->data, request->size);
        break;
    case 'f':
        put32(writer, request->open_flags);
        break;
    default:
        put_attrs(writer, request->mode);
    }
}

/* Ends a packet that began at @out by telling its length.  Returns: its bytes; 0 if it is full. */
static gsize
finish(const Writer *writer, guint8 *out)
{
    gsize size = (gsize)(writer->at - out);
    guint32 length = GUINT32_TO_BE((guint32)(size - 4));

    if (writer->full)
        return 0;
    memcpy(out, &length, sizeof(length));
    return size;
}

static const Format *
find_format(VimgSftpType type)
{
    if ((gsize)type >= G_N_ELEMENTS(formats) || !formats[type].fields)
        return NULL;
    return &formats[type];
}

guint8
vimg_sftp_answer(VimgSftpType type)
{
    const Format *format = find_format(type);

    return format ? format->answer : 0;
}

gsize
vimg_sftp_encode_init(guint8 *out, gsize size)
{
    Writer writer = {out, out + size, FALSE};

    put32(&writer, 0);
    put8(&writer, INIT);
    put32(&writer, VIMG_SFTP_VERSION);
    return finish(&writer, out);
}

gsize
vimg_sftp_encode(const VimgSftpRequest *request, guint8 *out, gsize size)
{
    const Format *format = find_format(request->type);
    Writer writer = {out, out + MIN(size, 4 + (gsize)VIMG_SFTP_PACKET_MAX), FALSE};
    const char *field;

    if (!format)
        return 0;
    put32(&writer, 0);
    put8(&writer, format->extension ? VIMG_SFTP_EXTENDED : (guint8)request->type);
    put32(&writer, request->id);
    if (format->extension)
        put_bytes(&writer, format->extension, strlen(format->extension));
    for (field = format->fields; *field; field++)
        put_field(&writer, request, *field);
    return finish(&writer, out);
}
