/*
 * test-sftp-packet.c: requests and replies of SFTP as bytes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "sftp/session.h"

/* The bytes of @hex, in which "'text'" stands for itself and blanks for nothing. */
static GByteArray *
bytes_of(const char *hex)
{
    GByteArray *out = g_byte_array_new();

    while (*hex) {
        guint8 byte = (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));

        if (*hex == ' ') {
            hex++;
        } else if (*hex == '\'') {
            const char *end = strchr(hex + 1, '\'');

            g_byte_array_append(out, (const guint8 *)hex + 1, (guint)(end - hex - 1));
            hex = end + 1;
        } else {
            g_byte_array_append(out, &byte, 1);
            hex += 2;
        }
    }
    return out;
}

/* ---- requests ------------------------------------------------------------------------------ */

#define HANDLE .handle = (const guint8 *)"hh", .handle_size = 2

static const struct {
    VimgSftpRequest request;
    const char *bytes; /* without the length */
} requests[] = {
    {{.type = VIMG_SFTP_OPEN, .path = "/a", .open_flags = VIMG_SFTP_FLAG_READ},
     "03 00000007 00000002 '/a' 00000001 00000000"},
    {{.type = VIMG_SFTP_OPEN, .path = "/a", .open_flags = 0x2a, .mode = 0444},
     "03 00000007 00000002 '/a' 0000002a 00000004 00000124"},
    {{.type = VIMG_SFTP_CLOSE, HANDLE}, "04 00000007 00000002 'hh'"},
    {{.type = VIMG_SFTP_READ, HANDLE, .offset = 0x102030405, .size = 0x8000},
     "05 00000007 00000002 'hh' 0000000102030405 00008000"},
    {{.type = VIMG_SFTP_WRITE, HANDLE, .offset = 1, .data = "abc", .size = 3},
     "06 00000007 00000002 'hh' 0000000000000001 00000003 'abc'"},
    {{.type = VIMG_SFTP_LSTAT, .path = "/a"}, "07 00000007 00000002 '/a'"},
    {{.type = VIMG_SFTP_FSTAT, HANDLE}, "08 00000007 00000002 'hh'"},
    {{.type = VIMG_SFTP_OPENDIR, .path = "/a"}, "0b 00000007 00000002 '/a'"},
    {{.type = VIMG_SFTP_READDIR, HANDLE}, "0c 00000007 00000002 'hh'"},
    {{.type = VIMG_SFTP_REMOVE, .path = "/a"}, "0d 00000007 00000002 '/a'"},
    {{.type = VIMG_SFTP_MKDIR, .path = "/a"}, "0e 00000007 00000002 '/a' 00000000"},
    {{.type = VIMG_SFTP_MKDIR, .path = "/a", .mode = 0755},
     "0e 00000007 00000002 '/a' 00000004 000001ed"},
    {{.type = VIMG_SFTP_RMDIR, .path = "/a"}, "0f 00000007 00000002 '/a'"},
    {{.type = VIMG_SFTP_REALPATH, .path = "/a"}, "10 00000007 00000002 '/a'"},
    {{.type = VIMG_SFTP_STAT, .path = "/a"}, "11 00000007 00000002 '/a'"},
    {{.type = VIMG_SFTP_RENAME, .path = "/a", .to = "/bc"},
     "12 00000007 00000002 '/a' 00000003 '/bc'"},
    {{.type = VIMG_SFTP_POSIX_RENAME, .path = "/a", .to = "/bc"},
     "c8 00000007 00000018 'posix-rename@openssh.com' 00000002 '/a' 00000003 '/bc'"},
    {{.type = VIMG_SFTP_FSYNC, HANDLE}, "c8 00000007 00000011 'fsync@openssh.com' 00000002 'hh'"},
    {{.type = VIMG_SFTP_STATVFS, .path = "/a"},
     "c8 00000007 00000013 'statvfs@openssh.com' 00000002 '/a'"},
    {{.type = VIMG_SFTP_HARDLINK, .path = "/a", .to = "/bc"},
     "c8 00000007 00000014 'hardlink@openssh.com' 00000002 '/a' 00000003 '/bc'"},
    {{.type = VIMG_SFTP_LIMITS}, "c8 00000007 00000012 'limits@openssh.com'"},
};

/* Each request has its bytes, and with less room it has none. */
static void
test_requests(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(requests); i++) {
        g_autoptr(GByteArray) expected = bytes_of(requests[i].bytes);
        VimgSftpRequest request = requests[i].request;
        guint32 length = GUINT32_TO_BE(expected->len);
        guint8 out[128];
        gsize room;

        request.id = 7;
        g_byte_array_prepend(expected, (const guint8 *)&length, sizeof(length));
        for (room = 0; room < expected->len; room++)
            g_assert_cmpuint(vimg_sftp_encode(&request, out, room), ==, 0);
        room = vimg_sftp_encode(&request, out, sizeof(out));
        g_assert_cmpmem(out, room, expected->data, expected->len);
        g_assert_cmpuint(vimg_sftp_answer(request.type), >, 100);
    }
}

/* What has room in the largest packet, and what has one byte too many. */
static void
test_limits_of_requests(void)
{
    const gsize around = 1 + 4 + 4 + 2 + 8 + 4;
    const gsize room = 2 * (gsize)VIMG_SFTP_PACKET_MAX;
    g_autofree guint8 *out = g_malloc(room);
    g_autofree guint8 *data = g_malloc0(room);
    VimgSftpRequest request = {.type = VIMG_SFTP_WRITE, HANDLE, .data = data};
    VimgSftpRequest unknown = {.type = VIMG_SFTP_EXTENDED};

    request.size = (guint32)(VIMG_SFTP_PACKET_MAX - around);
    g_assert_cmpuint(vimg_sftp_encode(&request, out, room), ==, VIMG_SFTP_PACKET_MAX + 4);
    request.size++;
    g_assert_cmpuint(vimg_sftp_encode(&request, out, room), ==, 0);
    request.size = G_MAXUINT32;
    g_assert_cmpuint(vimg_sftp_encode(&request, out, room), ==, 0);
    g_assert_cmpuint(vimg_sftp_encode(&unknown, out, room), ==, 0);
    unknown.type = VIMG_SFTP_LIMITS + 1;
    g_assert_cmpuint(vimg_sftp_encode(&unknown, out, room), ==, 0);
    g_assert_cmpuint(vimg_sftp_answer(unknown.type), ==, 0);
}

/* ---- replies ------------------------------------------------------------------------------- */

#define ATTRS_NONE "00000000"
#define NAME_A "00000001 'a' 00000000 " ATTRS_NONE
#define NAME(size, name) size " " name " 00000001 'l' " ATTRS_NONE

/* Of a good one with fields of its own, any less is malformed. */
static const struct {
    const char *path;
    VimgSftpType type;
    const char *bytes; /* without the length; the id is 7 */
    const char *text;  /* as describe() puts it; NULL: malformed */
} replies[] = {
    {"status", VIMG_SFTP_CLOSE, "65 00000007 00000000 00000002 'ok' 00000000", "status 0"},
    {"status-bare", VIMG_SFTP_CLOSE, "65 00000007 00000004", "status 4"},
    {"status-unknown", VIMG_SFTP_READ, "65 00000007 0000000b", "status 11"},
    {"status-fine", VIMG_SFTP_READ, "65 00000007 00000000", NULL},
    {"handle", VIMG_SFTP_OPEN, "66 00000007 00000003 0a000b", "bytes 0a000b"},
    {"handle-empty", VIMG_SFTP_OPEN, "66 00000007 00000000", NULL},
    {"handle-rest", VIMG_SFTP_OPEN, "66 00000007 00000001 0a 00", NULL},
    {"handle-unasked", VIMG_SFTP_CLOSE, "66 00000007 00000001 0a", NULL},
    {"handle-beyond", VIMG_SFTP_OPEN, "66 00000007 ffffffff 0a", NULL},
    {"data", VIMG_SFTP_READ, "67 00000007 00000002 0102", "bytes 0102"},
    {"data-empty", VIMG_SFTP_READ, "67 00000007 00000000", NULL},
    {"attrs-none", VIMG_SFTP_STAT, "69 00000007 00000000", "attrs"},
    {"attrs-all", VIMG_SFTP_LSTAT,
     "69 00000007 8000000f 0000000500000006 00000001 00000002 000081a4 00000003 00000004 "
     "00000001 00000001 'k' 00000002 'vv'",
     "attrs size 21474836486 mode 100644 mtime 4"},
    {"attrs-pairs", VIMG_SFTP_FSTAT, "69 00000007 80000000 ffffffff", NULL},
    {"attrs-unknown", VIMG_SFTP_STAT, "69 00000007 00000010", NULL},
    {"names-none", VIMG_SFTP_READDIR, "68 00000007 00000000", "names"},
    {"names", VIMG_SFTP_READDIR,
     "68 00000007 00000004 " NAME("00000001", "'.'") NAME("00000002", "'..'")
         NAME("00000003", "'...'") NAME("00000002", "'.a'"),
     "names ... .a"},
    {"names-attrs", VIMG_SFTP_READDIR,
     "68 00000007 00000002 00000001 'a' 00000000 00000004 000041ed " NAME_A, "names a=40755 a"},
    {"names-bytes", VIMG_SFTP_READDIR, "68 00000007 00000001 " NAME("00000002", "fffe"),
     "names \xff\xfe"},
    {"names-empty", VIMG_SFTP_READDIR, "68 00000007 00000001 " NAME("00000000", ""), NULL},
    {"names-slash", VIMG_SFTP_READDIR, "68 00000007 00000001 " NAME("00000003", "'a/b'"), NULL},
    {"names-nul", VIMG_SFTP_READDIR, "68 00000007 00000001 " NAME("00000002", "6100"), NULL},
    {"names-fewer", VIMG_SFTP_READDIR, "68 00000007 00000003 " NAME_A NAME_A, NULL},
    {"names-more", VIMG_SFTP_READDIR, "68 00000007 00000001 " NAME_A NAME_A, NULL},
    {"names-count", VIMG_SFTP_READDIR, "68 00000007 ffffffff " NAME_A, NULL},
    {"path", VIMG_SFTP_REALPATH, "68 00000007 00000001 " NAME("00000004", "'/a/b'"), "names /a/b"},
    {"path-dot", VIMG_SFTP_REALPATH, "68 00000007 00000001 " NAME("00000001", "'.'"), "names ."},
    {"path-none", VIMG_SFTP_REALPATH, "68 00000007 00000000", NULL},
    {"path-two", VIMG_SFTP_REALPATH, "68 00000007 00000002 " NAME_A NAME_A, NULL},
    {"path-nul", VIMG_SFTP_REALPATH, "68 00000007 00000001 " NAME("00000002", "2f00"), NULL},
    {"extended", VIMG_SFTP_LIMITS, "c9 00000007 0102", "bytes 0102"},
    {"extended-unasked", VIMG_SFTP_STAT, "c9 00000007 0102", NULL},
    {"type-unknown", VIMG_SFTP_STAT, "6a 00000007", NULL},
    {"type-version", VIMG_SFTP_STAT, "02 00000003", NULL},
    {"request-unknown", VIMG_SFTP_EXTENDED, "c9 00000007 0102", NULL},
    {"nothing", VIMG_SFTP_STAT, "", NULL},
    {"no-id", VIMG_SFTP_STAT, "69 000000", NULL},
};

static void
describe_attrs(GString *out, const VimgSftpAttrs *attrs)
{
    if (attrs->has_size)
        g_string_append_printf(out, " size %" G_GUINT64_FORMAT, attrs->size);
    if (attrs->has_mode)
        g_string_append_printf(out, " mode %o", attrs->mode);
    if (attrs->has_times)
        g_string_append_printf(out, " mtime %u", attrs->mtime);
}

static char *
describe(const VimgSftpReply *reply)
{
    g_autoptr(GString) out = g_string_new(NULL);
    guint32 i;

    if (reply->type == VIMG_SFTP_STATUS)
        g_string_append_printf(out, "status %u", reply->status);
    for (i = 0; reply->data && i < reply->size; i++)
        g_string_append_printf(out, "%s%02x", i == 0 ? "bytes " : "", reply->data[i]);
    if (reply->type == VIMG_SFTP_ATTRS)
        g_string_append(out, "attrs");
    describe_attrs(out, &reply->attrs);
    if (reply->names)
        g_string_append(out, "names");
    for (i = 0; reply->names && i < reply->names->len; i++) {
        const VimgSftpName *name = g_ptr_array_index(reply->names, i);

        g_string_append_printf(out, " %s", name->name);
        if (name->attrs.has_mode)
            g_string_append_printf(out, "=%o", name->attrs.mode);
    }
    return g_strdup(out->str);
}

/* Parses a copy without a byte more, which a sanitizer watches. */
static gboolean
parse(VimgSftpType type, const GByteArray *bytes, gsize size, char **text)
{
    g_autofree guint8 *packet = g_memdup2(bytes->data, size);
    g_auto(VimgSftpReply) reply = {0};

    if (!vimg_sftp_reply_parse(type, packet, size, &reply))
        return FALSE;
    g_assert_cmpuint(reply.id, ==, 7);
    *text = describe(&reply);
    return TRUE;
}

static void
test_reply(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GByteArray) bytes = bytes_of(replies[i].bytes);
    g_autofree char *text = NULL;
    gsize size;

    g_assert_cmpint(parse(replies[i].type, bytes, bytes->len, &text), ==, replies[i].text != NULL);
    g_assert_cmpstr(text, ==, replies[i].text);
    if (!text || bytes->data[0] == VIMG_SFTP_STATUS || bytes->data[0] == VIMG_SFTP_EXTENDED_REPLY)
        return;
    for (size = 0; size < bytes->len; size++) {
        g_autofree char *less = NULL;

        g_assert_false(parse(replies[i].type, bytes, size, &less));
    }
}

static void
test_handle_size(void)
{
    gsize size;

    for (size = VIMG_SFTP_HANDLE_MAX; size <= VIMG_SFTP_HANDLE_MAX + 1; size++) {
        g_autoptr(GByteArray) bytes = bytes_of("66 00000007");
        g_autofree char *text = NULL;
        guint32 length = GUINT32_TO_BE((guint32)size);

        g_byte_array_append(bytes, (const guint8 *)&length, sizeof(length));
        g_byte_array_set_size(bytes, (guint)(bytes->len + size));
        g_assert_cmpint(parse(VIMG_SFTP_OPEN, bytes, bytes->len, &text), ==,
                        size <= VIMG_SFTP_HANDLE_MAX);
    }
}

/* ---- what a server says of itself ---------------------------------------------------------- */

static void
test_version(void)
{
    g_autoptr(GByteArray) bytes =
        bytes_of("02 00000003 00000011 'fsync@openssh.com' 00000001 '1' 00000004 'what' 00000000 "
                 "00000013 'statvfs@openssh.com' 00000001 '1'");
    VimgSftpServer server;
    guint32 version = 0;
    gsize whole[] = {5, 5 + 4 + 17 + 4 + 1, 5 + 4 + 17 + 4 + 1 + 4 + 4 + 4, bytes->len};
    gsize size;
    gsize i = 0;

    for (size = 0; size <= bytes->len; size++) {
        g_autofree guint8 *packet = g_memdup2(bytes->data, size);
        gboolean good = vimg_sftp_version_parse(packet, size, &version, &server);

        g_assert_cmpint(good, ==, size == whole[i]);
        i += good;
    }
    g_assert_cmpuint(version, ==, 3);
    g_assert_true(server.fsync);
    /* another version of it */
    g_assert_false(server.statvfs || server.hardlink || server.posix_rename || server.limits);
    g_assert_cmpuint(server.write_max, ==, 32768);
}

static const struct {
    const char *bytes;
    guint32 read_max, write_max;
} limits[] = {
    {"0000000000040000 000000000003fc00 000000000003fc00 00000000000003fb", 261120, 261120},
    {"0000000000000000 0000000000000000 0000000000000000 00000000000003fb", 261120, 261120},
    {"ffffffffffffffff ffffffffffffffff 0000000000010000 00000000000003fb", 261120, 65536},
    {"0000000000010000 000000000003fc00 0000000000000000 00000000000003fb", 64512, 64512},
    {"0000000000000001 0000000000000001 0000000000000001 00000000000003fb", 32768, 32768},
};

static void
test_limits(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(limits); i++) {
        g_autoptr(GByteArray) bytes = bytes_of(limits[i].bytes);
        VimgSftpReply reply = {.data = bytes->data, .size = bytes->len};
        VimgSftpServer server = {0};

        g_assert_true(vimg_sftp_limits_parse(&reply, &server));
        g_assert_cmpuint(server.read_max, ==, limits[i].read_max);
        g_assert_cmpuint(server.write_max, ==, limits[i].write_max);
        g_assert_cmpuint(server.handles_max, ==, 1019);
        reply.size--;
        g_assert_false(vimg_sftp_limits_parse(&reply, &server));
    }
}

static void
test_space(void)
{
    g_autoptr(GByteArray) bytes =
        bytes_of("0000000000001000 0000000000000200 0000000000000064 0000000000000032 "
                 "0000000000000028 0000000000000001 0000000000000001 0000000000000001 "
                 "0000000000000001 0000000000000001 00000000000000ff");
    VimgSftpReply reply = {.data = bytes->data, .size = bytes->len};
    VimgSftpSpace space;

    g_assert_true(vimg_sftp_space_parse(&reply, &space));
    g_assert_cmpuint(space.total, ==, 100 * 512);
    g_assert_cmpuint(space.available, ==, 40 * 512);
    g_assert_true(space.read_only);
    memset(bytes->data + 8, 0, 8);
    g_assert_true(vimg_sftp_space_parse(&reply, &space));
    g_assert_cmpuint(space.total, ==, 100 * 4096);
    memset(bytes->data + 16, 0xff, 8);
    bytes->data[79] = 2;
    g_assert_true(vimg_sftp_space_parse(&reply, &space));
    g_assert_cmpuint(space.total, ==, G_MAXUINT64);
    g_assert_false(space.read_only);
    reply.size--;
    g_assert_false(vimg_sftp_space_parse(&reply, &space));
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sftp-packet/requests", test_requests);
    g_test_add_func("/sftp-packet/limits-of-requests", test_limits_of_requests);
    for (i = 0; i < G_N_ELEMENTS(replies); i++) {
        g_autofree char *path = g_strdup_printf("/sftp-packet/reply/%s", replies[i].path);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_reply);
    }
    g_test_add_func("/sftp-packet/handle-size", test_handle_size);
    g_test_add_func("/sftp-packet/version", test_version);
    g_test_add_func("/sftp-packet/limits", test_limits);
    g_test_add_func("/sftp-packet/space", test_space);
    return g_test_run();
}
