/*
 * test-handlers-control.c: each procedure of our own from bytes to bytes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fake-model.h"
#include "handler-call.h"

#define P "s:p U"
#define OK_CODE (-1)

static const struct {
    const char *path;
    int procedure;
    const char *args;
    const char *ret;    /* what is answered; unused after a failure */
    const char *called; /* what the model was asked; "": nothing */
    int code;           /* OK_CODE or VimgErrorCode */
    const char *text;   /* of the error, as a client sees it */
} cases[] = {
    {"cleanup", 1, P " i:0", "s:{}", "pool_cleanup(p)", OK_CODE, NULL},
    {"cleanup-dry", 1, P " i:1", "s:{}", "pool_cleanup(p, dry)", OK_CODE, NULL},
    {"cleanup-flags", 1, P " i:2", "", "", VIMG_ERROR_FLAGS,
     "unsupported flags (0x2) in function poolCleanup"},
    {"verify", 2, P " i:0", "s:{}", "pool_verify(p, NULL)", OK_CODE, NULL},
    {"verify-one", 2, P " i:1 s:v", "s:{}", "pool_verify(p, v)", OK_CODE, NULL},
    {"trash", 3, P " i:0 i:1024",
     "i:2 s:u0 s:n i:1 s:raw h:8589934592 h:5 h:6 h:7 h:8 h:9 i:1 s:c"
     " s:u1 s:n i:0 h:8589934592 h:5 h:6 h:7 h:8 h:9 i:0",
     "trash_list(p, NULL, 1024)", OK_CODE, NULL},
    {"trash-after", 3, P " i:1 s:u i:1",
     "i:2 s:u0 s:n i:1 s:raw h:8589934592 h:5 h:6 h:7 h:8 h:9 i:1 s:c"
     " s:u1 s:n i:0 h:8589934592 h:5 h:6 h:7 h:8 h:9 i:0",
     "trash_list(p, u, 1)", OK_CODE, NULL},
    {"trash-none", 3, P " i:0 i:0", "", "", VIMG_ERROR_INVALID_ARG,
     "invalid argument: a page holds 1 to 1024 entries, not 0"},
    {"trash-many", 3, P " i:0 i:1025", "", "", VIMG_ERROR_INVALID_ARG,
     "invalid argument: a page holds 1 to 1024 entries, not 1025"},
    {"restore", 4, P " s:u i:0", "s:p0 s:v0 s:k0", "trash_restore(p, u, NULL)", OK_CODE, NULL},
    {"restore-as", 4, P " s:u i:1 s:n", "s:p0 s:v0 s:k0", "trash_restore(p, u, n)", OK_CODE, NULL},
    {"purge", 5, P " s:u", "", "trash_purge(p, u)", OK_CODE, NULL},
    {"jobs", 6, "",
     "i:2 h:0 s:p i:1 s:v s:k s: h:8589934592 h:2 h:3 i:0"
     " h:1 s:p i:0 s:k s: h:8589934592 h:2 h:3 i:1",
     "job_list()", OK_CODE, NULL},
    {"cancel", 7, "h:8589934592", "", "job_cancel(8589934592)", OK_CODE, NULL},
    {"status", 8, "i:0", "s:{}", "status(NULL)", OK_CODE, NULL},
    {"status-one", 8, "i:1 s:p", "s:{}", "status(p)", OK_CODE, NULL},
    {"volumes", 9, P " i:0 i:1024",
     "i:2 s:u0 s:n s:error i:1 s:r i:0 h:8589934592 h:5 h:6 h:7 h:8 h:9 h:10"
     " s:u1 s:n s:saving i:0 i:1 s:raw h:8589934592 h:5 h:6 h:7 h:8 h:9 h:10",
     "volume_page(p, NULL, 1024)", OK_CODE, NULL},
    {"volumes-none", 9, P " i:1 s:a i:0", "", "", VIMG_ERROR_INVALID_ARG,
     "invalid argument: a page holds 1 to 1024 entries, not 0"},
    {"volumes-many", 9, P " i:1 s:a i:1025", "", "", VIMG_ERROR_INVALID_ARG,
     "invalid argument: a page holds 1 to 1024 entries, not 1025"},
    {"show", 10, P " s:v", "s:{}", "volume_show(p, v)", OK_CODE, NULL},
    {"metrics", 22, "", "s:#", "metrics()", OK_CODE, NULL},
    {"watch", 23, "i:1", "", "watch_jobs(1)", OK_CODE, NULL},
    {"watch-not", 23, "i:0", "", "", OK_CODE, NULL},
    {"bind", 36, "", "", "", OK_CODE, NULL},
    {"usage", 11, P, "s:{}", "pool_usage(p)", OK_CODE, NULL},
    {"diff", 12, P " s:a s:b", "s:{}", "vol_diff(p, a, b)", OK_CODE, NULL},
    {"flatten", 27, P " s:v", "s:{}", "vol_flatten(p, v)", OK_CODE, NULL},
    {"hold", 34, "s:p s:v s:k s:q s:w s:l", "", "vol_hold(p, v, q, w)", OK_CODE, NULL},
    {"fill", 35, "s:p s:v s:k s:q s:w s:l", "s:{}", "vol_fill(p, v, q, w)", OK_CODE, NULL},
    {"doctor", 20, P, "s:{}", "pool_doctor(p)", OK_CODE, NULL},
    {"enable", 13, P " i:7", "", "pool_enable(p, 1)", OK_CODE, NULL},
    {"disable", 13, P " i:0", "", "pool_enable(p, 0)", OK_CODE, NULL},
    {"describe", 14, P " i:1 s:d", "", "pool_describe(p, d)", OK_CODE, NULL},
    {"describe-not", 14, P " i:0", "", "pool_describe(p, NULL)", OK_CODE, NULL},
    {"rename", 15, P " s:n", "", "pool_rename(p, n)", OK_CODE, NULL},
    {"host-key", 25, P " s:f", "", "host_key_accept(p, f)", OK_CODE, NULL},
    {"zones", 16, "", "s:{}", "zone_list()", OK_CODE, NULL},
    {"zone-attach", 17, P " s:z", "", "zone_attach(p, z)", OK_CODE, NULL},
    {"zone-detach", 18, P " s:z", "", "zone_detach(p, z)", OK_CODE, NULL},
    {"zone-delete", 19, "s:z i:2 s:u s:w", "", "zone_delete(z, 2: w)", OK_CODE, NULL},
    {"zone-delete-none", 19, "s:z i:0", "", "zone_delete(z, 0: )", OK_CODE, NULL},
    {"export", 28, P " s:v i:0 h:604800 i:0 i:0",
     "s:http://x s:x0 s:p s:v s:u s:f s:raw i:0 i:0 h:8589934592 h:6 h:7 s:live i:1 s:s",
     "export_create(p, v, NULL, 604800)", OK_CODE, NULL},
    {"export-all", 28, P " s:v i:1 s:qcow2 h:1 i:1 i:1",
     "s:http://x s:x0 s:p s:v s:u s:f s:raw i:0 i:0 h:8589934592 h:6 h:7 s:live i:1 s:s",
     "export_create(p, v, qcow2, 1, compress, direct)", OK_CODE, NULL},
    {"exports", 29, "i:0 i:1024",
     "i:2 s:x0 s:p s:v s:u s:f s:raw i:0 i:0 h:8589934592 h:6 h:7 s:live i:1 s:s"
     " s:x1 s:p s:v s:u s:f s:raw i:1 i:1 h:8589934592 h:6 h:7 s:live i:0",
     "export_list(NULL, 1024)", OK_CODE, NULL},
    {"exports-many", 29, "i:1 s:x i:1025", "", "", VIMG_ERROR_INVALID_ARG,
     "invalid argument: a page holds 1 to 1024 entries, not 1025"},
    {"revoke", 30, "s:x", "", "export_revoke(x)", OK_CODE, NULL},
    {"nbd", 31, P " s:v",
     "s:/s s:x0 s:p s:v s:u s:f s:raw i:0 i:0 h:8589934592 h:6 h:7 s:live i:1 s:s",
     "nbd_start(p, v)", OK_CODE, NULL},
    {"nbd-stop", 32, "s:x", "", "nbd_stop(x)", OK_CODE, NULL},
    {"sync", 26, P " s:q U i:0 i:0 h:0", "s:{}", "pool_sync(p, q, 0, 0, 0)", OK_CODE, NULL},
    {"sync-all", 26, P " s:q U i:2 s:a s:b i:1 s:u h:8589934592", "s:{}",
     "pool_sync(p, q, 2 b, 1 u, 8589934592)", OK_CODE, NULL},
    {"import", 21, P " s:v s:http://h i:0 i:0", "s:{}", "vol_import(p, v, http://h, NULL, NULL)",
     OK_CODE, NULL},
    {"import-all", 21, P " s:v s:http://h i:1 s:d i:1 s:raw", "s:{}",
     "vol_import(p, v, http://h, d, raw)", OK_CODE, NULL},
};

static void
test_case(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autoptr(VimgClient) client = fake_client_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *expected = handler_hex(cases[i].ret);
    g_autofree char *answer = NULL;

    fake_model_reset();
    answer = handler_call_in(&vimg_control_program, client, cases[i].procedure, cases[i].args, NULL,
                             &error);
    g_assert_cmpstr(fake_model.log->str, ==, cases[i].called);
    if (cases[i].code != OK_CODE) {
        g_assert_null(answer);
        handler_check_error(error, cases[i].code, cases[i].text);
        return;
    }
    g_assert_no_error(error);
    g_assert_cmpstr(answer, ==, expected);
    g_clear_pointer(&answer, g_free);
    if (cases[i].procedure == 6 || cases[i].procedure == 16 || cases[i].procedure == 22 ||
        cases[i].procedure == 23 || cases[i].procedure == 29 ||
        cases[i].procedure == 36) /* cannot fail, or not again */
        return;
    fake_model.fail = TRUE;
    answer = handler_call_in(&vimg_control_program, client, cases[i].procedure, cases[i].args, NULL,
                             &error);
    g_assert_null(answer);
    handler_check_error(error, VIMG_ERROR_DAMAGED, "operation failed: broken");
}

/*
 * Who only looks may have what is answered from memory: for all else the storage is asked.  Of each
 * procedure: w writes, m from memory, p begins with a pool, l takes long.  NULL: not to be called.
 */
static const char *const rights[] = {
    NULL,  "wpl", "wpl", "wp", "wp", "wp",  "m", "mw",  "m",   "m",   "m", "wpl", "wpl",
    "wp",  "wp",  "wp",  "m",  "wp", "wp",  "w", "wpl", "wpl", "m",   "m", NULL,  "wp",
    "wpl", "wpl", "wpl", "m",  "w",  "wpl", "w", "",    "wp",  "wpl", "m",
};

static void
test_table(void)
{
    static const struct {
        char letter;
        guint flag;
    } flags[] = {
        {'w', VIMG_PROC_WRITES}, {'m', VIMG_PROC_MEMORY},   {'p', VIMG_PROC_POOL_ARG},
        {'l', VIMG_PROC_LONG},   {'?', VIMG_PROC_PRE_AUTH}, {'?', VIMG_PROC_PRE_OPEN},
    };

    g_assert_cmphex(vimg_control_program.id, ==, 0x56494d47);
    g_assert_cmpint(vimg_control_program.version, ==, 1);
    g_assert_cmpuint(vimg_control_program.n_procs, ==, G_N_ELEMENTS(rights));
    for (gsize i = 0; i < G_N_ELEMENTS(rights); i++) {
        const VimgProc *proc = &vimg_control_program.procs[i];

        g_assert_cmpint(proc->handler != NULL, ==, rights[i] != NULL);
        if (!rights[i])
            continue;
        g_test_message("%d %s", (int)i, proc->name);
        for (gsize j = 0; j < G_N_ELEMENTS(flags); j++)
            g_assert_cmpint(!!(proc->flags & flags[j].flag), ==,
                            !!strchr(rights[i], flags[j].letter));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/control/", cases[i].path, NULL);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_case);
    }
    g_test_add_func("/control/table", test_table);
    return g_test_run();
}
