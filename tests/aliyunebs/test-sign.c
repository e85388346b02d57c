/*
 * test-sign.c: signatures against those that the vendor's own programs make
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "sign.h"

typedef struct {
    const char *path;
    VimgSigner signer;
    const char *id;
    const char *secret;
    const char *token;
    const char *method;
    const char *bucket;
    const char *key;
    const char *sent_path;
    const char *region;
    const char *product;
    gint64 now;
    const char *query[16];   /* name, value, …; a value may be "-": none */
    const char *headers[16]; /* name, value, … */
    const char *additional[3];
    const char *expected; /* the end of the Authorization header */
} Case;

#define V4                                                                                         \
    .signer = vimg_sign_v4, .id = "ak", .secret = "sk", .method = "PUT", .bucket = "bucket",       \
    .key = "1234+-/123/1.txt",                                                                     \
    .query = {"param1",  "value1", "+param1", "value3", "|param1", "value4",                       \
              "+param2", "-",      "|param2", "-",      "param2",  "-"},                           \
    .headers = {"x-oss-head1", "value", "abc",   "value",        "ZAbc",                           \
                "value",       "XYZ",   "value", "content-type", "text/plain"}

#define V1 .signer = vimg_sign_v1, .id = "ak", .secret = "sk", .region = ""

/* of the documentation of AWS, "Signature Calculations for the Authorization Header" */
#define S3                                                                                         \
    .signer = vimg_sign_s3, .id = "AKIAIOSFODNN7EXAMPLE",                                          \
    .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", .method = "GET",                         \
    .bucket = "examplebucket", .region = "us-east-1", .now = 1369353600
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const Case cases[] = {
    {.path = "/sign/v4/plain",
     V4,
     .region = "cn-hangzhou",
     .now = 1702743657,
     .expected = "Credential=ak/20231216/cn-hangzhou/oss/aliyun_v4_request,"
                 "Signature=e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"},
    {.path = "/sign/v4/token",
     V4,
     .region = "cn-hangzhou",
     .token = "token",
     .now = 1702784856,
     .expected = ",Signature=b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea"},
    {.path = "/sign/v4/additional",
     V4,
     .region = "cn-hangzhou",
     .now = 1702747512,
     .additional = {"abc", "zabc", NULL},
     .expected = ",AdditionalHeaders=abc;zabc,"
                 "Signature=4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f"},
    {.path = "/sign/v4/cloudbox",
     V4,
     .region = "cb-123",
     .product = "oss-cloudbox",
     .now = 1702743657,
     .expected = ",Signature=94ce1f12c17d148ea681030275a94449d3357f5b5b21133996eec80af3e08a43"},
    {.path = "/sign/v1/object",
     V1,
     .method = "PUT",
     .bucket = "examplebucket",
     .key = "nelson",
     .now = 1672223261,
     .headers = {"Content-MD5", "eB5eJF1ptWaXm4bijSPyxw==", "Content-Type", "text/html",
                 "x-oss-meta-magic", "abracadabra", "x-oss-meta-author", "alice"},
     .expected = "OSS ak:kSHKmLxlyEAKtZPkJhG9bZb5k7M="},
    {.path = "/sign/v1/sub-resource",
     V1,
     .method = "PUT",
     .bucket = "examplebucket",
     .key = "nelson",
     .now = 1672223261,
     .query = {"acl", "-"},
     .headers = {"Content-MD5", "eB5eJF1ptWaXm4bijSPyxw==", "Content-Type", "text/html",
                 "x-oss-meta-magic", "abracadabra", "x-oss-meta-author", "alice"},
     .expected = "OSS ak:/afkugFbmWDQ967j1vr6zygBLQk="},
    {.path = "/sign/v1/unsigned-query",
     V1,
     .method = "PUT",
     .bucket = "examplebucket",
     .key = "nelson",
     .now = 1672223261,
     .query = {"acl", "-", "prefix", "x", "list-type", "2"},
     .headers = {"Content-MD5", "eB5eJF1ptWaXm4bijSPyxw==", "Content-Type", "text/html",
                 "x-oss-meta-magic", "abracadabra", "x-oss-meta-author", "alice"},
     .expected = "OSS ak:/afkugFbmWDQ967j1vr6zygBLQk="},
    {.path = "/sign/s3/range",
     S3,
     .key = "test.txt",
     .sent_path = "/test.txt",
     .headers = {"Host", "examplebucket.s3.amazonaws.com", "Range", "bytes=0-9",
                 "x-amz-content-sha256", EMPTY},
     .expected = "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                 "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
                 "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {.path = "/sign/s3/bare-query",
     S3,
     .sent_path = "/",
     .query = {"lifecycle", "-"},
     .headers = {"Host", "examplebucket.s3.amazonaws.com", "x-amz-content-sha256", EMPTY},
     .expected = "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {.path = "/sign/s3/query",
     S3,
     .sent_path = "/",
     .query = {"prefix", "J", "max-keys", "2"},
     .headers = {"Host", "examplebucket.s3.amazonaws.com", "x-amz-content-sha256", EMPTY},
     .expected = "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static GPtrArray *
pairs_of(const char *const *list)
{
    GPtrArray *pairs = vimg_pairs_new();

    for (; *list; list += 2)
        vimg_pairs_add(pairs, list[0], strcmp(list[1], "-") == 0 ? NULL : list[1]);
    return pairs;
}

static void
test_sign(gconstpointer data)
{
    const Case *c = data;
    g_autoptr(VimgCredential) credential =
        vimg_credential_new(c->id, (const guint8 *)c->secret, strlen(c->secret), c->token);
    g_autoptr(GPtrArray) query = pairs_of(c->query);
    g_autoptr(GPtrArray) headers = pairs_of(c->headers);
    VimgSigning signing = {
        .method = c->method,
        .bucket = c->bucket,
        .key = c->key,
        .path = c->sent_path,
        .query = query,
        .headers = headers,
        .region = c->region,
        .product = c->product,
        .additional = c->additional,
        .now = c->now,
    };

    c->signer(credential, &signing);
    if (!g_str_has_suffix(vimg_pairs_get(headers, "Authorization"), c->expected))
        g_assert_cmpstr(vimg_pairs_get(headers, "Authorization"), ==, c->expected);
}

/* The secret is in nothing that is sent. */
static void
test_secret(void)
{
    static const VimgSigner signers[] = {vimg_sign_v4, vimg_sign_v1, vimg_sign_s3};
    g_autoptr(VimgCredential) credential =
        vimg_credential_new("id", (const guint8 *)"hush-hush", 9, NULL);
    gsize i;
    guint j;

    for (i = 0; i < G_N_ELEMENTS(signers); i++) {
        g_autoptr(GPtrArray) headers = vimg_pairs_new();
        VimgSigning signing = {.method = "GET",
                               .bucket = "b",
                               .key = "k",
                               .path = "/b/k",
                               .headers = headers,
                               .region = "r",
                               .now = 1};

        signers[i](credential, &signing);
        g_assert_cmpuint(headers->len, >, 1);
        for (j = 0; j < headers->len; j++) {
            const VimgPair *pair = g_ptr_array_index(headers, j);

            g_assert_null(strstr(pair->value, "hush-hush"));
        }
    }
}

/* In a URL; the signature is that of the code that the vendor publishes. */
static void
test_query(void)
{
    g_autoptr(VimgCredential) credential =
        vimg_credential_new("ak", (const guint8 *)"hush-hush", 9, "token");
    VimgSigning signing = {.method = "GET",
                           .bucket = "bucket",
                           .key = "a b+c(1)/~.raw",
                           .region = "cn-hangzhou",
                           .now = 1702743657};
    g_autofree char *query = vimg_sign_v4_query(credential, &signing, 3600);

    g_assert_null(strstr(query, "hush-hush"));
    g_assert_cmpstr(
        query, ==,
        "x-oss-credential=ak%2F20231216%2Fcn-hangzhou%2Foss%2Faliyun_v4_request"
        "&x-oss-date=20231216T162057Z&x-oss-expires=3600&x-oss-security-token=token"
        "&x-oss-signature=714e36f7af668f2f993ac3adeb075652de9f98a9a1bb17b4aab1aa3050c2684f&x-oss-signature-version=OSS4-HMAC-SHA256");
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add_data_func(cases[i].path, &cases[i], test_sign);
    g_test_add_func("/sign/secret", test_secret);
    g_test_add_func("/sign/v4/query", test_query);
    return g_test_run();
}
