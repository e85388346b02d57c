/*
 * test-handlers.c: each procedure from the bytes of its arguments to the bytes of its answer
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fake-model.h"
#include "handler-call.h"
#include "wire/frame.h"
#include "wire/remote.h"

#define P "s:p U"
#define V "s:p s:v s:k"
#define SECRET "U i:2 s:u"
#define P0 "s:p0 U"
#define V0 "s:p0 s:v0 s:k0"
#define SECRET0 "U i:2 s:u0"
#define OK_CODE (-1)

typedef struct {
    const char *path;
    int procedure;
    const char *args;
    const char *ret;    /* what is answered; unused after a failure */
    const char *called; /* what the model was asked; "": nothing */
    int code;           /* OK_CODE or VimgErrorCode */
    const char *text;   /* of the error, as a client sees it; NULL: not looked at */
} Case;

static const Case cases[] = {
    /* the connection */
    {"type", 3, "", "s:image", "", OK_CODE},
    {"version", 4, "", "h:1000", "", OK_CODE},
    {"max-vcpus", 5, "i:0", "", "", VIMG_ERROR_NO_SUPPORT,
     "this function is not supported by the connection driver: virConnectGetMaxVcpus"},
    {"lib-version", 157, "", "h:9000000", "", OK_CODE},
    {"is-secure", 149, "", "i:1", "", OK_CODE},
    {"sysinfo", 203, "i:0", "", "", VIMG_ERROR_NO_SUPPORT,
     "this function is not supported by the connection driver: virConnectGetSysinfo"},
    {"close", 2, "", "", "", OK_CODE},
    {"close-callback", 360, "", "", "", OK_CODE},
    {"no-close-callback", 361, "", "", "", OK_CODE},
    {"sasl-init", 67, "", "", "", VIMG_ERROR_AUTH, NULL},
    {"sasl-start", 68, "s:PLAIN i:0 i:2 i:65 i:66", "", "", VIMG_ERROR_AUTH, NULL},
    {"sasl-step", 69, "i:0 i:1 i:65", "", "", VIMG_ERROR_AUTH, NULL},
    {"polkit", 70, "", "", "", VIMG_ERROR_AUTH, NULL},
    {"identity", 419, "i:2 s:user-name i:7 s:joe s:unix-user-id i:4 h:12 i:0", "", "", OK_CODE},
    {"identity-flags", 419, "i:0 i:4", "", "", VIMG_ERROR_FLAGS, NULL},

    /* nothing there */
    {"num-domains", 51, "", "i:0", "", OK_CODE},
    {"list-domains", 37, "i:16384", "i:0", "", OK_CODE},
    {"list-domains-negative", 37, "i:-1", "", "", VIMG_ERROR_RPC, NULL},
    {"list-domains-many", 37, "i:16385", "", "", VIMG_ERROR_RPC, NULL},
    {"num-defined-domains", 25, "", "i:0", "", OK_CODE},
    {"list-defined-domains", 21, "i:5", "i:0", "", OK_CODE},
    {"all-domains", 273, "i:1 i:0", "i:0 i:0", "", OK_CODE},
    {"num-networks", 52, "", "i:0", "", OK_CODE},
    {"list-networks", 38, "i:5", "i:0", "", OK_CODE},
    {"num-defined-networks", 50, "", "i:0", "", OK_CODE},
    {"list-defined-networks", 36, "i:5", "i:0", "", OK_CODE},
    {"all-networks", 283, "i:1 i:0", "i:0 i:0", "", OK_CODE},
    {"num-interfaces", 126, "", "i:0", "", OK_CODE},
    {"list-interfaces", 127, "i:5", "i:0", "", OK_CODE},
    {"num-defined-interfaces", 137, "", "i:0", "", OK_CODE},
    {"list-defined-interfaces", 138, "i:5", "i:0", "", OK_CODE},
    {"all-interfaces", 284, "i:1 i:0", "i:0 i:0", "", OK_CODE},
    {"num-devices", 111, "i:1 s:pci i:0", "i:0", "", OK_CODE},
    {"list-devices", 112, "i:0 i:65536 i:0", "i:0", "", OK_CODE},
    {"list-devices-many", 112, "i:0 i:65537 i:0", "", "", VIMG_ERROR_RPC, NULL},
    {"all-devices", 285, "i:1 i:0", "i:0 i:0", "", OK_CODE},
    {"num-nwfilters", 178, "", "i:0", "", OK_CODE},
    {"list-nwfilters", 179, "i:5", "i:0", "", OK_CODE},
    {"all-nwfilters", 286, "i:1 i:0", "i:0 i:0", "", OK_CODE},

    /* lists of pools */
    {"num-pools", 71, "", "i:2", "pool_list(0x2)", OK_CODE},
    {"list-pools", 72, "i:5", "i:2 s:p0 s:p1", "pool_list(0x2)", OK_CODE},
    {"list-pools-cut", 72, "i:1", "i:1 s:p0", "pool_list(0x2)", OK_CODE},
    {"list-pools-none", 72, "i:0", "i:0", "pool_list(0x2)", OK_CODE},
    {"list-pools-negative", 72, "i:-1", "", "", VIMG_ERROR_RPC,
     "maxnames > REMOTE_STORAGE_POOL_LIST_MAX"},
    {"list-pools-many", 72, "i:16385", "", "", VIMG_ERROR_RPC,
     "maxnames > REMOTE_STORAGE_POOL_LIST_MAX"},
    {"num-defined-pools", 73, "", "i:2", "pool_list(0x1)", OK_CODE},
    {"list-defined-pools", 74, "i:16384", "i:2 s:p0 s:p1", "pool_list(0x1)", OK_CODE},
    {"all-pools", 281, "i:1 i:3", "i:2 s:p0 U s:p1 U i:2", "pool_list(0x3)", OK_CODE},
    {"all-pools-count", 281, "i:0 i:0", "i:0 i:2", "pool_list(0x0)", OK_CODE},
    {"all-pools-every-flag", 281, "i:0 i:1048575", "i:0 i:2", "pool_list(0xfffff)", OK_CODE},
    {"all-pools-flags", 281, "i:1 i:33554434", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x2000000) in function storageConnectListAllStoragePools"},
    {"find-sources", 75, "s:t i:1 s:<s/> i:0", "s:<sources/>", "find_sources(t, <s/>, 0x0)",
     OK_CODE},
    {"find-sources-no-spec", 75, "s:t i:0 i:0", "s:<sources/>", "find_sources(t, NULL, 0x0)",
     OK_CODE},
    {"find-sources-other-true", 75, "s:t x:01000000 s:<s/> i:0", "s:<sources/>",
     "find_sources(t, <s/>, 0x0)", OK_CODE},
    {"find-sources-flags", 75, "s:t i:0 i:1", "", "", VIMG_ERROR_FLAGS, NULL},
    {"pool-capabilities", 403, "i:0", "s:<caps/>", "pool_capabilities()", OK_CODE},
    {"pool-capabilities-flags", 403, "i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storageConnectGetStoragePoolCapabilities"},

    /* pools */
    {"pool-by-name", 84, "s:p", P0, "pool_by_name(p)", OK_CODE},
    {"pool-by-uuid", 85, "U", P0, "pool_by_uuid(U)", OK_CODE},
    {"pool-by-volume", 86, V, P0, "pool_by_volume(p/v/k)", OK_CODE},
    {"pool-by-target-path", 391, "s:/p", P0, "pool_by_target_path(/p)", OK_CODE},
    {"pool-create-xml", 76, "s:<p/> i:3", P0, "pool_create_xml(<p/>, 0x3)", OK_CODE},
    {"pool-create-xml-flags", 76, "s:<p/> i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storagePoolCreateXML"},
    {"pool-create-xml-exclusive", 76, "s:<p/> i:6", "", "", VIMG_ERROR_FLAGS,
     "Flags 'VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE' and "
     "'VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE' are mutually exclusive"},
    {"pool-define-xml", 77, "s:<p/> i:1", P0, "pool_define(<p/>, 0x1)", OK_CODE},
    {"pool-define-xml-flags", 77, "s:<p/> i:9", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x8) in function storagePoolDefineXML"},
    {"pool-create", 78, P " i:5", "", "pool_create(p, 0x5)", OK_CODE},
    {"pool-create-flags", 78, P " i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storagePoolCreate"},
    {"pool-create-exclusive", 78, P " i:7", "", "", VIMG_ERROR_FLAGS, NULL},
    {"pool-build", 79, P " i:9", "", "pool_build(p, 0x9)", OK_CODE},
    {"pool-build-exclusive", 79, P " i:12", "", "", VIMG_ERROR_FLAGS,
     "Flags 'VIR_STORAGE_POOL_BUILD_OVERWRITE' and 'VIR_STORAGE_POOL_BUILD_NO_OVERWRITE' are "
     "mutually exclusive"},
    {"pool-build-flags", 79, P " i:16", "", "", VIMG_ERROR_FLAGS, NULL},
    {"pool-destroy", 80, P, "", "pool_destroy(p)", OK_CODE},
    {"pool-delete", 81, P " i:1", "", "pool_delete(p, 0x1)", OK_CODE},
    {"pool-delete-flags", 81, P " i:2", "", "", VIMG_ERROR_FLAGS, NULL},
    {"pool-undefine", 82, P, "", "pool_undefine(p)", OK_CODE},
    {"pool-refresh", 83, P " i:0", "", "pool_refresh(p, 0x0)", OK_CODE},
    {"pool-refresh-flags", 83, P " i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storagePoolRefresh"},
    {"pool-info", 87, P, "i:2 h:1099511627776 h:7 h:9", "pool_info(p)", OK_CODE},
    {"pool-xml", 88, P " i:1", "s:<pool/>", "pool_xml(p, 0x1)", OK_CODE},
    {"pool-xml-flags", 88, P " i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storagePoolGetXMLDesc"},
    {"pool-get-autostart", 89, P, "i:1", "pool_get_autostart(p)", OK_CODE},
    {"pool-set-autostart", 90, P " i:7", "", "pool_set_autostart(p, 1)", OK_CODE},
    {"pool-unset-autostart", 90, P " i:0", "", "pool_set_autostart(p, 0)", OK_CODE},
    {"pool-is-active", 154, P, "i:1", "pool_is_active(p)", OK_CODE},
    {"pool-is-persistent", 155, P, "i:1", "pool_is_persistent(p)", OK_CODE},

    /* volumes */
    {"num-vols", 91, P, "i:2", "pool_volumes(p)", OK_CODE},
    {"list-vols", 92, P " i:5", "i:2 s:v0 s:v1", "pool_volumes(p)", OK_CODE},
    {"list-vols-cut", 92, P " i:1", "i:1 s:v0", "pool_volumes(p)", OK_CODE},
    {"list-vols-many", 92, P " i:16385", "", "", VIMG_ERROR_RPC,
     "maxnames > REMOTE_STORAGE_VOL_LIST_MAX"},
    {"all-vols", 282, P " i:1 i:0", "i:2 s:p0 s:v0 s:k0 s:p0 s:v1 s:k0 i:2", "pool_volumes(p)",
     OK_CODE},
    {"all-vols-count", 282, P " i:0 i:0", "i:0 i:2", "pool_volumes(p)", OK_CODE},
    {"all-vols-flags", 282, P " i:1 i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storagePoolListAllVolumes"},
    {"vol-by-name", 95, P " s:v", V0, "vol_by_name(p, v)", OK_CODE},
    {"vol-by-key", 96, "s:k", V0, "vol_by_key(k)", OK_CODE},
    {"vol-by-path", 97, "s:/v", V0, "vol_by_path(/v)", OK_CODE},
    {"vol-create", 93, P " s:<v/> i:5", V0, "vol_create(p, <v/>, 0x5)", OK_CODE},
    {"vol-create-flags", 93, P " s:<v/> i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storageVolCreateXML"},
    {"vol-create-from", 125, P " s:<v/> s:q s:w s:l i:2", V0,
     "vol_create_from(p, <v/>, q/w/l, 0x2)", OK_CODE},
    {"vol-create-from-flags", 125, P " s:<v/> " V " i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storageVolCreateXMLFrom"},
    {"vol-delete", 94, V " i:3", "", "vol_delete(p/v/k, 0x3)", OK_CODE},
    {"vol-delete-flags", 94, V " i:64", "", "", VIMG_ERROR_FLAGS, NULL},
    {"vol-info", 98, V, "i:3 h:8589934592 h:5", "vol_info(p/v/k)", OK_CODE},
    {"vol-info-flags", 378, V " i:0", "i:3 h:8589934592 h:5", "vol_info(p/v/k)", OK_CODE},
    {"vol-info-physical", 378, V " i:1", "i:3 h:8589934592 h:6", "vol_info(p/v/k)", OK_CODE},
    {"vol-info-bad-flags", 378, V " i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storageVolGetInfoFlags"},
    {"vol-xml", 99, V " i:0", "s:<volume/>", "vol_xml(p/v/k, 0x0)", OK_CODE},
    {"vol-xml-flags", 99, V " i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storageVolGetXMLDesc"},
    {"vol-path", 100, V, "s:x://p0/v0", "vol_path(p/v/k)", OK_CODE},
    {"vol-wipe", 165, V " i:0", "", "vol_wipe(p/v/k, 0, 0x0)", OK_CODE},
    {"vol-wipe-flags", 165, V " i:1", "", "", VIMG_ERROR_FLAGS, NULL},
    {"vol-wipe-pattern", 259, V " i:9 i:0", "", "vol_wipe(p/v/k, 9, 0x0)", OK_CODE},
    {"vol-wipe-pattern-flags", 259, V " i:0 i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storageVolWipePattern"},
    {"vol-wipe-pattern-unknown", 259, V " i:99 i:0", "", "", VIMG_ERROR_INVALID_ARG,
     "invalid argument: wiping algorithm 99 not supported"},
    {"vol-resize", 260, V " h:8589934592 i:7", "", "vol_resize(p/v/k, 8589934592, 0x7)", OK_CODE},
    {"vol-resize-flags", 260, V " h:1 i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storageVolResize"},
    {"vol-upload-flags", 208, V " h:0 h:0 i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storageVolUpload"},
    {"vol-download-flags", 209, V " h:0 h:0 i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function storageVolDownload"},

    /* secrets */
    {"num-secrets", 139, "", "i:2", "secret_list(0x0)", OK_CODE},
    {"list-secrets", 140, "i:1", "i:1 s:00010203-0405-0607-0809-0a0b0c0d0e0f", "secret_list(0x0)",
     OK_CODE},
    {"list-secrets-many", 140, "i:16385", "", "", VIMG_ERROR_RPC,
     "maxuuids > REMOTE_SECRET_LIST_MAX"},
    {"all-secrets", 287, "i:1 i:15", "i:2 U i:2 s:u0 U i:2 s:u1 i:2", "secret_list(0xf)", OK_CODE},
    {"all-secrets-count", 287, "i:0 i:0", "i:0 i:2", "secret_list(0x0)", OK_CODE},
    {"all-secrets-flags", 287, "i:1 i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function secretConnectListAllSecrets"},
    {"secret-by-uuid", 141, "U", SECRET0, "secret_by_uuid(U)", OK_CODE},
    {"secret-by-usage", 147, "i:2 s:u", SECRET0, "secret_by_usage(2, u)", OK_CODE},
    {"secret-define", 142, "s:<s/> i:1", SECRET0, "secret_define(<s/>, 0x1)", OK_CODE},
    {"secret-define-flags", 142, "s:<s/> i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function secretDefineXML"},
    {"secret-xml", 143, SECRET " i:0", "s:<secret/>", "secret_xml(U)", OK_CODE},
    {"secret-xml-flags", 143, SECRET " i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function secretGetXMLDesc"},
    {"secret-set-value", 144, SECRET " o:abcde i:0", "", "secret_set_value(U, abcde)", OK_CODE},
    {"secret-set-no-value", 144, SECRET " o: i:0", "", "secret_set_value(U, )", OK_CODE},
    {"secret-set-value-flags", 144, SECRET " o:abcde i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function secretSetValue"},
    {"secret-get-value", 145, SECRET " i:0", "i:5 x:6100622063000000", "secret_get_value(U)",
     OK_CODE},
    {"secret-get-value-flags", 145, SECRET " i:64", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function secretGetValue"},
    {"secret-undefine", 146, SECRET, "", "secret_undefine(U)", OK_CODE},

    /* events */
    {"pool-event-unknown", 368, "i:2 i:0", "", "", VIMG_ERROR_RPC_STATE,
     "internal error: unsupported storage pool event ID 2"},
    {"pool-event-negative", 368, "i:-1 i:0", "", "", VIMG_ERROR_RPC_STATE,
     "internal error: unsupported storage pool event ID -1"},
    {"pool-event-not-registered", 369, "i:5", "", "", VIMG_ERROR_RPC_STATE,
     "internal error: storage pool event callback 5 not registered"},
    {"secret-event-unknown", 380, "i:2 i:0", "", "", VIMG_ERROR_RPC_STATE,
     "internal error: unsupported secret event ID 2"},
    {"secret-event-not-registered", 381, "i:0", "", "", VIMG_ERROR_RPC_STATE,
     "internal error: secret event callback 0 not registered"},
};

static void
test_case(gconstpointer data)
{
    const Case *c = data;
    g_autoptr(VimgClient) client = fake_client_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *expected = handler_hex(c->ret);
    g_autofree char *answer = NULL;

    fake_model_reset();
    answer = handler_call(client, c->procedure, c->args, NULL, &error);
    g_assert_cmpstr(fake_model.log->str, ==, c->called);
    if (c->code == OK_CODE) {
        g_assert_no_error(error);
        g_assert_cmpstr(answer, ==, expected);
    } else {
        g_assert_null(answer);
        handler_check_error(error, c->code, c->text);
    }
}

/* What the model refuses is refused, with the model's own words. */
static void
test_failures(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        g_autoptr(VimgClient) client = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *answer = NULL;

        /* lists of the connection cannot fail */
        if (c->code != OK_CODE || !*c->called || strstr(c->called, "_list("))
            continue;
        g_test_message("%s", c->path);
        client = fake_client_new();
        fake_model_reset();
        fake_model.fail = TRUE;
        answer = handler_call(client, c->procedure, c->args, NULL, &error);
        g_assert_null(answer);
        handler_check_error(error, VIMG_ERROR_DAMAGED, "operation failed: broken");
    }
}

static void
test_too_many(void)
{
    static const struct {
        int procedure;
        const char *args;
    } lists[] = {{281, "i:1 i:0"}, {282, P " i:1 i:0"}, {287, "i:1 i:0"}};

    for (guint i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autoptr(VimgClient) client = fake_client_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *all = NULL;
        g_autofree char *none = NULL;

        fake_model_reset();
        fake_model.count = 16384;
        all = handler_call(client, lists[i].procedure, lists[i].args, NULL, &error);
        g_assert_no_error(error);
        g_assert_true(g_str_has_prefix(all, "00004000"));
        g_assert_true(g_str_has_suffix(all, "00004000"));

        fake_model.count = 16385;
        none = handler_call(client, lists[i].procedure, lists[i].args, NULL, &error);
        g_assert_null(none);
        handler_check_error(error, VIMG_ERROR_RPC, "Too many objects '16385' for limit '16384'");
    }
}

static void
test_streams(void)
{
    static const struct {
        int procedure;
        const char *args;
        const char *called;
        gboolean upload, sparse;
    } streams[] = {
        {208, V " h:1 h:2 i:0", "upload(p/v/k, 1, 2)", TRUE, FALSE},
        {208, V " h:0 h:0 i:1", "upload(p/v/k, 0, 0, sparse)", TRUE, TRUE},
        {209, V " h:8589934592 h:0 i:0", "download(p/v/k, 8589934592, 0)", FALSE, FALSE},
        {209, V " h:0 h:3 i:1", "download(p/v/k, 0, 3)", FALSE, TRUE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(streams); i++) {
        g_autoptr(VimgClient) client = fake_client_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *answer = NULL;
        VimgCall made = {0};

        fake_model_reset();
        answer = handler_call(client, streams[i].procedure, streams[i].args, &made, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(answer, ==, "");
        g_assert_cmpstr(fake_model.log->str, ==, streams[i].called);
        g_assert_true(made.transfer == (VimgTransfer *)&fake_model);
        g_assert_cmpint(made.upload, ==, streams[i].upload);
        g_assert_cmpint(made.sparse, ==, streams[i].sparse);
        g_assert_true(made.proc->flags & VIMG_PROC_STREAM);
    }
}

/* ---- the table ------------------------------------------------------------------------------ */

static gboolean
contains(const int *numbers, guint n, int number)
{
    for (guint i = 0; i < n; i++) {
        if (numbers[i] == number)
            return TRUE;
    }
    return FALSE;
}

static void
test_table(void)
{
    /* everything that may wait for a storage, or takes long */
    static const int slow[] = {7,  75, 76,  77,  78,  79,  80,  81,  83,
                               93, 94, 125, 165, 208, 209, 259, 260, 403};
    static const int writes[] = {75, 76,  77,  78,  79,  80,  81,  82,  83,  90,  93,
                                 94, 125, 142, 144, 145, 146, 165, 208, 209, 259, 260};
    static const int pre_open[] = {1, 2, 60, 66, 67, 68, 69, 70};
    static const int pre_auth[] = {66, 67, 68, 69, 70};
    guint rows = 0;

    g_assert_cmphex(vimg_remote_program.id, ==, 0x20008086);
    g_assert_cmpint(vimg_remote_program.version, ==, 1);
    for (int i = 0; i < (int)vimg_remote_program.n_procs; i++) {
        const VimgProc *proc = &vimg_remote_program.procs[i];

        if (!proc->handler)
            continue;
        rows++;
        g_test_message("%d %s", i, proc->name);
        g_assert_nonnull(proc->args);
        g_assert_nonnull(proc->ret);
        g_assert_cmpint(!(proc->flags & VIMG_PROC_MEMORY), ==,
                        contains(slow, G_N_ELEMENTS(slow), i));
        g_assert_cmpint(!!(proc->flags & VIMG_PROC_WRITES), ==,
                        contains(writes, G_N_ELEMENTS(writes), i));
        g_assert_cmpint(!!(proc->flags & VIMG_PROC_PRE_OPEN), ==,
                        contains(pre_open, G_N_ELEMENTS(pre_open), i));
        g_assert_cmpint(!!(proc->flags & VIMG_PROC_PRE_AUTH), ==,
                        contains(pre_auth, G_N_ELEMENTS(pre_auth), i));
        g_assert_cmpint(!!(proc->flags & VIMG_PROC_STREAM), ==, i == 208 || i == 209);
        g_assert_cmpint(!!(proc->flags & VIMG_PROC_CLOSES), ==, i == 2);
        g_assert_cmpint(!!(proc->flags & VIMG_PROC_SECRET), ==, i == 144 || i == 145);
        if (proc->flags & VIMG_PROC_POOL_ARG)
            g_assert_cmpint(proc->args_size, >=, sizeof(vimg_remote_pool));
    }
    g_assert_cmpint(rows, ==, 99);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/handlers/", cases[i].path, NULL);

        g_test_add_data_func(path, &cases[i], test_case);
    }
    g_test_add_func("/handlers/failures", test_failures);
    g_test_add_func("/handlers/too-many", test_too_many);
    g_test_add_func("/handlers/streams", test_streams);
    g_test_add_func("/handlers/table", test_table);
    return g_test_run();
}
