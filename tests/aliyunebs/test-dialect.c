/*
 * test-dialect.c: signed calls against those of the vendor's documents
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "dialect.h"

static void
test_rpc(void)
{
    static const char *const all[][2] = {
        {"Timestamp", "2016-02-23T12:46:24Z"},
        {"Format", "XML"},
        {"AccessKeyId", "testid"},
        {"Action", "DescribeRegions"},
        {"SignatureMethod", "HMAC-SHA1"},
        {"SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"},
        {"Version", "2014-05-26"},
        {"SignatureVersion", "1.0"},
    };
    g_autoptr(VimgCredential) credential =
        vimg_credential_new("testid", (const guint8 *)"testsecret", 10, NULL);
    g_autoptr(GPtrArray) parameters = vimg_pairs_new();
    g_autofree char *signature = NULL;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(all); i++)
        vimg_pairs_add(parameters, all[i][0], all[i][1]);
    signature = vimg_rpc_signature(credential, "GET", parameters);
    g_assert_cmpstr(signature, ==, "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
}

static void
test_acs3(void)
{
    g_autoptr(VimgCredential) credential =
        vimg_credential_new("YourAccessKeyId", (const guint8 *)"YourAccessKeySecret", 19, NULL);
    g_autoptr(GPtrArray) parameters = vimg_pairs_new();
    g_auto(VimgCall) call = {
        .url = "https://ecs.cn-shanghai.aliyuncs.com/",
        .host = "ecs.cn-shanghai.aliyuncs.com",
        .path = "/",
        .action = "RunInstances",
        .version = "2014-05-26",
        .parameters = parameters,
        .nonce = "3156853299f313e23d1673dc12e1703d",
        .now = 1698315752,
    };

    vimg_pairs_add(parameters, "RegionId", "cn-shanghai");
    vimg_pairs_add(parameters, "ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd");
    vimg_dialect_acs3.prepare(credential, &call);
    g_assert_true(g_str_has_suffix(
        vimg_pairs_get(call.headers, "Authorization"),
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"));
    g_assert_cmpstr(call.target, ==,
                    "https://ecs.cn-shanghai.aliyuncs.com/"
                    "?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"
                    "&RegionId=cn-shanghai");
}

static void
test_find(void)
{
    g_assert_true(vimg_dialect_find("ecs-rpc") == &vimg_dialect_rpc);
    g_assert_true(vimg_dialect_find("ecs-acs3") == &vimg_dialect_acs3);
    g_assert_null(vimg_dialect_find("ocean"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dialect/rpc", test_rpc);
    g_test_add_func("/dialect/acs3", test_acs3);
    g_test_add_func("/dialect/find", test_find);
    return g_test_run();
}
