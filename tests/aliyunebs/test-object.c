/*
 * test-object.c: objects in a bucket of a strict server, in each signature, and when it fails
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <glib/gstdio.h>

#include "copy.h"
#include "crc64.h"
#include "object.h"
#include "server-helper.h"

#define TOLD(server, ...) g_free(server_tell(server, __VA_ARGS__))

static const struct {
    const char *name;
    VimgOssSignature signature;
} signatures[] = {{"v4", VIMG_OSS_V4}, {"v1", VIMG_OSS_V1}, {"s3", VIMG_OSS_S3}};

static gboolean
put_text(VimgOss *oss, const char *key, const char *text, gboolean exclusive, GError **error)
{
    VimgOssPut put = {.key = key, .data = text, .size = strlen(text), .exclusive = exclusive};

    return vimg_oss_put(oss, &put, NULL, NULL, error);
}

static char *
get_text(VimgOss *oss, const char *key)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) buffer = vimg_oss_get(oss, key, 4096, NULL, &error);

    g_assert_no_error(error);
    return g_strndup((const char *)buffer->data, buffer->size);
}

/* ---- what works ---- */

static void
check_object(VimgOss *oss, gboolean has_crc)
{
    static const char key[] = "a+b c=%ä~/x.y_z-&?#";
    g_autoptr(GPtrArray) metadata = vimg_pairs_new();
    g_auto(VimgOssObject) made = {0};
    g_auto(VimgOssObject) seen = {0};
    g_autoptr(GError) error = NULL;
    VimgOssPut put = {.key = key, .data = "hello world", .size = 11, .metadata = metadata};
    VimgOssCopy copy = {.from = key, .object = &seen, .to = "copy", .exclusive = TRUE};
    g_auto(VimgOssObject) copied = {0};
    guint64 used;
    guint8 piece[5];

    vimg_pairs_add(metadata, "uuid", "1234");
    vimg_oss_put(oss, &put, &made, NULL, &error);
    g_assert_no_error(error);
    vimg_oss_head(oss, key, &seen, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(seen.etag, ==, made.etag);
    g_assert_cmpuint(seen.size, ==, 11);
    g_assert_cmpint(seen.has_crc, ==, has_crc);
    if (has_crc)
        g_assert_cmpuint(seen.crc, ==, vimg_crc64(0, "hello world", 11));
    g_assert_cmpint(seen.modified, >, 0);
    g_assert_cmpstr(vimg_pairs_get(seen.metadata, "uuid"), ==, "1234");
    vimg_oss_get_range(oss, key, seen.etag, 6, piece, 5, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(piece, 5, "world", 5);
    vimg_oss_copy(oss, &copy, &copied, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(copied.size, ==, 11);
    g_assert_false(vimg_oss_copy(oss, &copy, &copied, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_assert_cmpint(vimg_oss_used(oss, &used, NULL, &error), ==, !vimg_oss_is_s3(oss));
    if (vimg_oss_is_s3(oss))
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
    else
        g_assert_cmpuint(used, ==, 22);
    g_clear_error(&error);
    vimg_oss_delete(oss, key, NULL, NULL, &error);
    g_assert_no_error(error);
    vimg_oss_delete(oss, key, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_false(vimg_oss_head(oss, key, &seen, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

static void
test_object(gconstpointer data)
{
    gsize i = GPOINTER_TO_UINT(data);
    g_autofree char *arguments = g_strdup_printf("--signature %s", signatures[i].name);
    g_autoptr(Server) server = server_new("ossserver.py", arguments);
    g_autoptr(VimgOss) oss = server_client(server, signatures[i].signature, 10);
    g_autofree char *text = NULL;

    check_object(oss, signatures[i].signature != VIMG_OSS_S3);
    text = get_text(oss, "copy");
    g_assert_cmpstr(text, ==, "hello world");
}

static gboolean
give(gpointer data, guint64 offset, guint8 *out, gsize size, GError **error)
{
    const VimgBuffer *bytes = data;

    if (!bytes) {
        g_set_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED, "gone");
        return FALSE;
    }
    memcpy(out, bytes->data + offset, size);
    return TRUE;
}

/* A body that is read as it goes, and once more when it has to go again. */
static void
test_source(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(1500000, 9);
    g_autofree char *here = vimg_sha256_hex(bytes->data, bytes->size);
    g_autofree char *there = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(VimgOssRequest) request = {
        .key = "k",
        .web = {.method = "PUT", .size = bytes->size, .source = give, .source_data = bytes}};

    TOLD(server, "fault Put status 1 500:InternalError");
    vimg_oss_request(oss, &request, NULL, &error);
    g_assert_no_error(error);
    there = server_tell(server, "sha256 k");
    g_assert_cmpstr(there, ==, here);
    request.web.source_data = NULL;
    g_assert_false(vimg_oss_request(oss, &request, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
}

static void
test_styles(void)
{
    static const struct {
        const char *arguments;
        const char *host;
        VimgOssStyle style;
    } styles[] = {
        {"--virtual-only", "localhost", VIMG_OSS_VIRTUAL},
        {"--cname", "localhost", VIMG_OSS_CNAME},
        {NULL, "localhost", VIMG_OSS_PATH},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(styles); i++) {
        g_autoptr(Server) server = server_new("ossserver.py", styles[i].arguments);
        g_autoptr(VimgCredential) credential = server_credential();
        g_autoptr(GError) error = NULL;
        VimgOssRules rules = {.plain = TRUE,
                              .host = styles[i].host,
                              .port = server->port,
                              .bucket = "images",
                              .region = "cn-hangzhou",
                              .style = styles[i].style};
        g_autoptr(VimgOss) oss = vimg_oss_new(&rules, credential, &error);

        put_text(oss, "k", "v", FALSE, &error);
        g_assert_no_error(error);
    }
}

static void
test_list(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(GError) error = NULL;
    g_autofree char *token = NULL;
    guint seen = 0;
    guint i;

    for (i = 0; i < 7; i++) {
        g_autofree char *key = g_strdup_printf("p/%u <&>\x01", i);

        put_text(oss, key, "", FALSE, &error);
        g_assert_no_error(error);
    }
    put_text(oss, "q/x/y", "z", FALSE, &error);
    TOLD(server, "set page 3");
    do {
        g_autoptr(VimgOssPage) page = vimg_oss_list(oss, "p/", NULL, token, NULL, &error);

        g_assert_no_error(error);
        for (i = 0; i < page->entries->len; i++, seen++) {
            const VimgOssEntry *entry = g_ptr_array_index(page->entries, i);
            g_autofree char *key = g_strdup_printf("p/%u <&>\x01", seen);

            g_assert_cmpstr(entry->key, ==, key);
            g_assert_cmpint(entry->modified, >, 0);
        }
        g_free(token);
        token = g_strdup(page->truncated ? page->next : NULL);
    } while (token);
    g_assert_cmpuint(seen, ==, 7);
    {
        g_autoptr(VimgOssPage) page = vimg_oss_list(oss, "", "/", NULL, NULL, &error);

        g_assert_no_error(error);
        g_assert_cmpuint(page->prefixes->len, ==, 2);
        g_assert_cmpstr(g_ptr_array_index(page->prefixes, 1), ==, "q/");
    }
}

static void
test_exclusive(gconstpointer data)
{
    gsize i = GPOINTER_TO_UINT(data);
    g_autofree char *arguments = g_strdup_printf("--signature %s", signatures[i].name);
    g_autoptr(Server) server = server_new("ossserver.py", arguments);
    g_autoptr(VimgOss) oss = server_client(server, signatures[i].signature, 10);
    g_autoptr(GError) error = NULL;

    put_text(oss, "name", "one", TRUE, &error);
    g_assert_no_error(error);
    g_assert_false(put_text(oss, "name", "other", TRUE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    /* the answer that it was ours is lost: asked again, it is still ours */
    TOLD(server, "fault Put lost");
    put_text(oss, "mine", "me", TRUE, &error);
    g_assert_no_error(error);
    /* the same, but another's */
    TOLD(server, "fault Put drop");
    g_assert_false(put_text(oss, "name", "other", TRUE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
}

static void
test_versions(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgOss) s3 = server_client(server, VIMG_OSS_S3, 10);
    g_autoptr(GError) error = NULL;
    gboolean has = TRUE;

    g_assert_true(vimg_oss_has_versions(oss, &has, NULL, &error));
    g_assert_false(has);
    TOLD(server, "set versions true");
    g_assert_true(vimg_oss_has_versions(oss, &has, NULL, &error));
    g_assert_true(has);
    g_assert_false(vimg_oss_has_versions(s3, &has, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
}

static void
test_delete_same(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;

    put_text(oss, "k", "v", FALSE, &error);
    vimg_oss_head(oss, "k", &object, NULL, &error);
    g_assert_no_error(error);
    put_text(oss, "k", "w", FALSE, &error);
    g_assert_false(vimg_oss_delete_same(oss, "k", object.etag, NULL, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    vimg_oss_head(oss, "k", &object, NULL, &error);
    g_assert_true(vimg_oss_delete_same(oss, "k", object.etag, NULL, NULL, &error));
    g_assert_true(vimg_oss_delete_same(oss, "k", object.etag, NULL, NULL, &error));
    g_assert_cmpuint(server_number(server, "number objects"), ==, 0);
}

/* ---- what fails ---- */

typedef struct {
    const char *path;
    const char *fault;  /* of HEAD */
    gint code;          /* -1: it works in the end */
    guint requests;     /* that it takes */
    const char *within; /* the message has it */
    guint rest;         /* milliseconds that the server asks for in all */
} Failure;

static const Failure failures[] = {
    {"/object/fault/once", "fault Head status 1 500:InternalError", -1, 2, NULL},
    {"/object/fault/throttled", "fault Head throttle 2 900", -1, 3, NULL, 1800},
    {"/object/fault/retry-after", "fault Head retry-after 1 1", -1, 2, NULL, 1000},
    {"/object/fault/dropped", "fault Head drop 2", -1, 3, NULL},
    {"/object/fault/lost", "fault Head lost 1", -1, 2, NULL},
    {"/object/fault/denied", "fault Head status 9 403:AccessDenied", VIMG_ERROR_ACCESS_DENIED, 1,
     "AccessDenied: told to (request id R1)"},
    {"/object/fault/missing-bucket", "fault Head status 9 404:NoSuchBucket",
     VIMG_ERROR_DISCONNECTED, 1, "NoSuchBucket"},
    {"/object/fault/stranger", "fault Head stranger 9", VIMG_ERROR_DISCONNECTED, 1, "404"},
    {"/object/fault/unknown", "fault Head status 9 400:Whatever", VIMG_ERROR_FAILED, 1, "Whatever"},
    {"/object/fault/moved", "fault Head status 9 301:Moved", VIMG_ERROR_CONFIG_UNSUPPORTED, 1,
     "Moved"},
};

static void
test_failure(gconstpointer data)
{
    const Failure *c = data;
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;
    gint64 began;

    put_text(oss, "k", "v", FALSE, &error);
    g_assert_no_error(error);
    TOLD(server, "%s", c->fault);
    began = g_get_monotonic_time();
    vimg_oss_head(oss, "k", &object, NULL, &error);
    g_assert_cmpint(g_get_monotonic_time() - began, >=, (gint64)c->rest * 1000);
    if (c->code < 0)
        g_assert_no_error(error);
    else
        g_assert_error(error, VIMG_ERROR, c->code);
    if (c->within)
        g_assert_nonnull(strstr(error->message, c->within));
    g_assert_cmpuint(server_number(server, "count Head"), ==, c->requests);
}

static void
test_skew(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(GError) error = NULL;

    TOLD(server, "set skew 7200");
    put_text(oss, "k", "v", FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(ABS(vimg_oss_skew(oss) - 7200), <, 60);
    g_assert_cmpuint(server_number(server, "count Put"), ==, 2);
    /* and from then on at once */
    put_text(oss, "k", "v", FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(server_number(server, "count Put"), ==, 3);
}

static void
test_key(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgCredential) bad = vimg_credential_new("ak", (const guint8 *)"hush-hush", 9, NULL);
    g_autoptr(VimgCredential) unknown = vimg_credential_new("xx", (const guint8 *)"sk", 2, NULL);
    g_autoptr(VimgCredential) good = server_credential();
    g_autoptr(GError) error = NULL;

    vimg_oss_set_credential(oss, bad);
    g_assert_false(put_text(oss, "k", "v", FALSE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_AUTH);
    g_assert_null(strstr(error->message, "hush"));
    g_clear_error(&error);
    vimg_oss_set_credential(oss, unknown);
    g_assert_false(put_text(oss, "k", "v", FALSE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_AUTH);
    g_clear_error(&error);
    vimg_oss_set_credential(oss, good);
    g_assert_true(put_text(oss, "k", "v", FALSE, &error));
}

static void
test_range_lies(void)
{
    static const char *const faults[] = {"whole", "short", "long"};
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(GError) error = NULL;
    guint8 piece[4];
    gsize i;

    put_text(oss, "k", "0123456789", FALSE, &error);
    for (i = 0; i < G_N_ELEMENTS(faults); i++) {
        TOLD(server, "fault Get %s", faults[i]);
        g_assert_false(vimg_oss_get_range(oss, "k", NULL, 2, piece, 4, NULL, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INTERNAL);
        g_clear_error(&error);
    }
    TOLD(server, "fault Get truncate");
    g_assert_true(vimg_oss_get_range(oss, "k", NULL, 2, piece, 4, NULL, &error));
    g_assert_cmpmem(piece, 4, "2345", 4);
    g_assert_false(vimg_oss_get_range(oss, "k", NULL, 8, piece, 4, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INTERNAL);
    g_clear_error(&error);
    g_assert_false(vimg_oss_get_range(oss, "k", "0123", 2, piece, 4, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    g_clear_error(&error);
    g_assert_null(vimg_oss_get(oss, "k", 9, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INTERNAL);
}

static gboolean
is_cancelled(gpointer data)
{
    return ++*(guint *)data > 2;
}

static void
test_patience(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 30);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;
    guint asked = 0;
    VimgPatience patience = {.cancelled = is_cancelled, .data = &asked};

    TOLD(server, "fault Head stall 99");
    g_assert_false(vimg_oss_head(oss, "k", &object, &patience, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&error);
    patience = (VimgPatience){.deadline = g_get_monotonic_time() + G_USEC_PER_SEC / 2};
    g_assert_false(vimg_oss_head(oss, "k", &object, &patience, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_TIMEOUT);
    g_clear_error(&error);
}

/* A deadline during a rest: why it rested is what is said. */
static void
test_patience_reason(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 30);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;
    VimgPatience patience = {.deadline = g_get_monotonic_time() + 2 * G_USEC_PER_SEC};

    TOLD(server, "fault Head throttle 99 50000");
    g_assert_false(vimg_oss_head(oss, "k", &object, &patience, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_assert_nonnull(strstr(error->message, "SlowDown"));
}

static void
test_stall(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 1);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;

    put_text(oss, "k", "v", FALSE, &error);
    TOLD(server, "fault Head stall 1");
    vimg_oss_head(oss, "k", &object, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(server_number(server, "count Head"), ==, 2);
}

static void
test_nobody(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 5);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;
    VimgPatience patience = {.deadline = g_get_monotonic_time() + 2 * G_USEC_PER_SEC};

    g_clear_pointer(&server, server_free);
    g_assert_false(vimg_oss_head(oss, "k", &object, &patience, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_assert_nonnull(strstr(error->message, "127.0.0.1"));
}

/* ---- the way there ---- */

static char *
make_certificate(const char *dir)
{
    char *path = g_build_filename(dir, "both.pem", NULL);
    g_autofree char *command =
        g_strdup_printf("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
                        "-addext subjectAltName=DNS:localhost -keyout %s/key.pem -out %s/cert.pem",
                        dir, dir);
    g_autofree char *join =
        g_strdup_printf("sh -c 'cat %s/key.pem %s/cert.pem > %s'", dir, dir, path);

    g_autofree char *noise = NULL;

    g_assert_true(g_spawn_command_line_sync(command, NULL, &noise, NULL, NULL));
    g_assert_true(g_spawn_command_line_sync(join, NULL, NULL, NULL, NULL));
    return path;
}

static void
test_tls(void)
{
    g_autofree char *dir = g_dir_make_tmp("vimg-oss-XXXXXX", NULL);
    g_autofree char *both = make_certificate(dir);
    g_autofree char *cert = g_build_filename(dir, "cert.pem", NULL);
    g_autofree char *key = g_build_filename(dir, "key.pem", NULL);
    g_autofree char *arguments = g_strdup_printf("--certificate %s", both);
    g_autoptr(Server) server = server_new("ossserver.py", arguments);
    g_autoptr(VimgCredential) credential = server_credential();
    const char *files[] = {both, cert, key, NULL};
    static const struct {
        const char *host;
        gboolean trusted;
        gboolean good;
    } ways[] = {{"localhost", TRUE, TRUE}, {"localhost", FALSE, FALSE}, {"127.0.0.1", TRUE, FALSE}};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(ways); i++) {
        VimgOssRules rules = {.host = ways[i].host,
                              .port = server->port,
                              .bucket = "images",
                              .region = "cn-hangzhou",
                              .style = VIMG_OSS_PATH,
                              .web = {.ca_file = ways[i].trusted ? cert : NULL}};
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgOss) oss = vimg_oss_new(&rules, credential, &error);

        g_assert_no_error(error);
        g_assert_cmpint(put_text(oss, "k", "v", FALSE, &error), ==, ways[i].good);
        if (!ways[i].good)
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    }
    for (i = 0; files[i]; i++)
        g_unlink(files[i]);
    g_rmdir(dir);
}

static void
test_way(void)
{
    static const struct {
        const char *ca_file;
        const char *proxy;
        const char *local;
        gint code;
    } ways[] = {
        {NULL, NULL, "127.0.0.7", -1},
        {NULL, NULL, "192.0.2.1", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {NULL, "http://127.0.0.1:1", NULL, VIMG_ERROR_DISCONNECTED},
        {"/nowhere/ca.pem", NULL, NULL, VIMG_ERROR_CONFIG_UNSUPPORTED},
    };
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgCredential) credential = server_credential();
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(ways); i++) {
        VimgOssRules rules = {
            .plain = TRUE,
            .host = "127.0.0.1",
            .port = server->port,
            .bucket = "images",
            .region = "cn-hangzhou",
            .style = VIMG_OSS_PATH,
            .web = {.ca_file = ways[i].ca_file, .proxy = ways[i].proxy, .local = ways[i].local}};
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgOss) oss = vimg_oss_new(&rules, credential, &error);
        g_auto(VimgOssObject) object = {0};
        VimgPatience patience = {.deadline = g_get_monotonic_time() + G_USEC_PER_SEC};

        if (oss && !vimg_oss_head(oss, "k", &object, &patience, &error) && ways[i].code < 0)
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
        else
            g_assert_error(error, VIMG_ERROR, ways[i].code);
    }
}

static void
test_region(void)
{
    static const struct {
        const char *host;
        const char *region;
    } hosts[] = {
        {"oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"},
        {"oss-cn-hangzhou-internal.aliyuncs.com", "cn-hangzhou"},
        {"s3.oss-us-west-1-internal.aliyuncs.com", "us-west-1"},
        {"cn-beijing.oss.aliyuncs.com", "cn-beijing"},
        {"oss-accelerate.aliyuncs.com", NULL},
        {"oss-.aliyuncs.com", NULL},
        {"storage.example.org", NULL},
        {"10.0.0.1", NULL},
        {"oss-x", "x"},
        {"s3", NULL},
        {"", NULL},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autofree char *region = vimg_oss_region_of(hosts[i].host);

        g_assert_cmpstr(region, ==, hosts[i].region);
    }
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(signatures); i++) {
        g_autofree char *object = g_strdup_printf("/object/%s", signatures[i].name);
        g_autofree char *exclusive = g_strdup_printf("/object/exclusive/%s", signatures[i].name);

        g_test_add_data_func(object, GUINT_TO_POINTER(i), test_object);
        g_test_add_data_func(exclusive, GUINT_TO_POINTER(i), test_exclusive);
    }
    for (i = 0; i < G_N_ELEMENTS(failures); i++)
        g_test_add_data_func(failures[i].path, &failures[i], test_failure);
    g_test_add_func("/object/source", test_source);
    g_test_add_func("/object/styles", test_styles);
    g_test_add_func("/object/list", test_list);
    g_test_add_func("/object/versions", test_versions);
    g_test_add_func("/object/delete-same", test_delete_same);
    g_test_add_func("/object/skew", test_skew);
    g_test_add_func("/object/key", test_key);
    g_test_add_func("/object/range-lies", test_range_lies);
    g_test_add_func("/object/patience", test_patience);
    g_test_add_func("/object/patience-reason", test_patience_reason);
    g_test_add_func("/object/stall", test_stall);
    g_test_add_func("/object/nobody", test_nobody);
    g_test_add_func("/object/tls", test_tls);
    g_test_add_func("/object/way", test_way);
    g_test_add_func("/object/region", test_region);
    return g_test_run();
}
