/*
 * test-model-upload.c: one upload after another: what seals, what resumes, what is refused
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "util/error.h"

#define INVALID "Requested operation is not valid: "
#define ARG "invalid argument: "

typedef struct {
    const char *path;
    const char *format; /* NULL: not declared */
    guint64 capacity;
    const char *stored; /* steps of a first upload with a length, which does not seal; NULL: none */
    guint64 offset;
    guint64 length;
    const char *steps;  /* "a100 h50 q10": 100 bytes 'a', a hole, 10 bytes of a qcow2 (i: an iso) */
    VimgErrorCode code; /* VIMG_N_ERRORS: it works */
    const char *text;
    const char *state;
    const char *extents;
    guint64 capacity_after;
    const char *format_after; /* NULL: none is shown */
} Upload;

#define REACHES(end)                                                                               \
    ARG "the stream reaches byte " #end ", beyond the capacity of 100 bytes of volume 'v'"
#define DECLARED(found, declared)                                                                  \
    "Storage pool probe failed: the content is " found ", declared was " declared                  \
    "; create the volume with --format " found

static const Upload uploads[] = {
    {"raw-whole", "raw", 100, NULL, 0, 0, "a100", VIMG_N_ERRORS, NULL, "active", "d100", 100,
     "raw"},
    {"raw-short", "raw", 100, NULL, 0, 0, "a40", VIMG_N_ERRORS, NULL, "active", "d40 h60", 100,
     "raw"},
    {"raw-empty", "raw", 100, NULL, 0, 0, "", VIMG_N_ERRORS, NULL, "active", "h100", 100, "raw"},
    {"raw-nothing", "raw", 0, NULL, 0, 0, "", VIMG_N_ERRORS, NULL, "active", "", 0, "raw"},
    {"raw-long", "raw", 100, NULL, 0, 0, "a60 a41", VIMG_ERROR_INVALID_ARG, REACHES(101), "error",
     "d60", 100, "raw"},
    {"raw-long-hole", "raw", 100, NULL, 0, 0, "a60 h41", VIMG_ERROR_INVALID_ARG, REACHES(101),
     "error", "d60", 100, "raw"},
    {"raw-length-whole", "raw", 100, NULL, 0, 100, "a100", VIMG_N_ERRORS, NULL, "active", "d100",
     100, "raw"},
    {"raw-length-part", "raw", 100, NULL, 0, 40, "a40", VIMG_N_ERRORS, NULL, "saving", "d40", 100,
     "raw"},
    {"raw-length-fewer", "raw", 100, NULL, 0, 40, "a30", VIMG_N_ERRORS, NULL, "saving", "d30", 100,
     "raw"},
    {"raw-length-more", "raw", 100, NULL, 0, 40, "a30 a30", VIMG_ERROR_NO_SPACE,
     "cannot write to stream: No space left on device", "saving", "d30 d10", 100, "raw"},
    {"raw-length-beyond", "raw", 100, NULL, 0, 101, NULL, VIMG_ERROR_INVALID_ARG,
     ARG "101 bytes at offset 0 go beyond the capacity of 100 bytes of volume 'v'", "saving", "",
     100, "raw"},
    {"raw-offset-beyond", "raw", 100, NULL, 101, 0, NULL, VIMG_ERROR_INVALID_ARG,
     ARG "0 bytes at offset 101 go beyond the capacity of 100 bytes of volume 'v'", "saving", "",
     100, "raw"},
    {"raw-offset-far", "raw", 100, NULL, G_MAXUINT64, G_MAXUINT64, NULL, VIMG_ERROR_INVALID_ARG,
     NULL, "saving", "", 100, "raw"},
    {"raw-offset-unstored", "raw", 100, NULL, 10, 0, NULL, VIMG_ERROR_INVALID_ARG,
     ARG "volume 'v': only 0 bytes are stored", "saving", "", 100, "raw"},
    {"raw-resume-start", "raw", 100, "a40", 0, 0, "a40 b60", VIMG_N_ERRORS, NULL, "active",
     "d40 d60", 100, "raw"},
    {"raw-resume-rest", "raw", 100, "a40", 40, 0, "b60", VIMG_N_ERRORS, NULL, "active", "d40 d60",
     100, "raw"},
    {"raw-resume-overlap", "raw", 100, "a40", 30, 0, "a10 b60", VIMG_N_ERRORS, NULL, "active",
     "d40 d60", 100, "raw"},
    {"raw-resume-different", "raw", 100, "a40", 0, 0, "a20 b80", VIMG_ERROR_OPERATION_INVALID,
     INVALID "volume 'v': different at offset 20", "saving", "d40", 100, "raw"},
    {"raw-resume-shorter", "raw", 100, "a40", 0, 0, "a20", VIMG_ERROR_OPERATION_INVALID,
     INVALID "the stream ended at byte 20, but volume 'v' holds at least 40 bytes of an earlier "
             "upload; wipe it to start afresh",
     "saving", "d40", 100, "raw"},
    {"raw-resume-last", "raw", 100, "a40", 40, 60, "b60", VIMG_N_ERRORS, NULL, "active", "d40 d60",
     100, "raw"},
    {"qcow2-whole", "qcow2", 1000, NULL, 0, 0, "q2048 h10", VIMG_N_ERRORS, NULL, "active",
     "d2048 h10", 65536, "qcow2"},
    {"qcow2-larger", "qcow2", 10, NULL, 0, 0, "q2048", VIMG_N_ERRORS, NULL, "active", "d2048",
     65536, "qcow2"},
    {"qcow2-length", "qcow2", 40, NULL, 0, 40, "a40", VIMG_N_ERRORS, NULL, "saving", "d40", 40,
     "qcow2"},
    {"qcow2-resume", "qcow2", 1000, "q40", 0, 0, "q2048", VIMG_N_ERRORS, NULL, "active",
     "d40 d2008", 65536, "qcow2"},
    {"qcow2-resume-rest", "qcow2", 1000, "q40", 40, 0, "q2008", VIMG_N_ERRORS, NULL, "active",
     "d40 d2008", 65536, "qcow2"},
    {"qcow2-resume-shorter", "qcow2", 1000, "a40", 0, 0, "a20", VIMG_ERROR_OPERATION_INVALID,
     INVALID "the stream ended at byte 20, but volume 'v' holds at least 40 bytes of an earlier "
             "upload; wipe it to start afresh",
     "saving", "d40", 1000, "qcow2"},
    {"qcow2-far", "qcow2", 1000, NULL, G_MAXUINT64, 0, NULL, VIMG_ERROR_INVALID_ARG,
     ARG "offset and length go beyond what an image can hold", "saving", "", 1000, "qcow2"},
    {"iso-whole", "iso", 7, NULL, 0, 0, "i36864", VIMG_N_ERRORS, NULL, "active", "d36864", 36864,
     "iso"},
    {"long-hole", "raw", G_GUINT64_CONSTANT(1) << 44, NULL, 0, 0, "a10 h17592186044000",
     VIMG_N_ERRORS, NULL, "active", "d10 h17592186044406", G_GUINT64_CONSTANT(1) << 44, "raw"},
    {"raw-but-qcow2", "raw", 4096, NULL, 0, 0, "q2048", VIMG_ERROR_PROBE, DECLARED("qcow2", "raw"),
     "error", "d2048", 4096, "raw"},
    {"raw-but-qcow2-last", "raw", 2048, "q1000", 1000, 1048, "q1048", VIMG_ERROR_PROBE,
     DECLARED("qcow2", "raw"), "error", "d1000 d1048", 2048, "raw"},
    {"raw-but-qcow2-rest", "raw", 4096, "q1000", 1000, 0, "q1048", VIMG_ERROR_PROBE,
     DECLARED("qcow2", "raw"), "error", "d1000 d1048", 4096, "raw"},
    {"raw-but-qcow2-nothing", "raw", 4096, "q2048", 2048, 0, "", VIMG_ERROR_PROBE,
     DECLARED("qcow2", "raw"), "error", "d2048", 4096, "raw"},
    {"qcow2-but-raw", "qcow2", 1000, NULL, 0, 0, "a40 h10", VIMG_ERROR_PROBE,
     DECLARED("raw", "qcow2"), "error", "d40 h10", 1000, "qcow2"},
    {"qcow2-but-empty", "qcow2", 1000, NULL, 0, 0, "", VIMG_ERROR_PROBE, DECLARED("raw", "qcow2"),
     "error", "", 1000, "qcow2"},
    {"qcow2-cut", "qcow2", 1000, NULL, 0, 0, "q1500", VIMG_ERROR_PROBE, NULL, "error", "d1500",
     1000, "qcow2"},
    {"any-raw", NULL, 100, NULL, 0, 0, "a100", VIMG_N_ERRORS, NULL, "active", "d100", 100, "raw"},
    {"any-raw-short", NULL, 100, NULL, 0, 0, "a10 h20 a10", VIMG_N_ERRORS, NULL, "active",
     "d40 h60", 100, "raw"},
    {"any-raw-empty", NULL, 100, NULL, 0, 0, "", VIMG_N_ERRORS, NULL, "active", "h100", 100, "raw"},
    {"any-raw-long", NULL, 100, NULL, 0, 0, "a60 a41", VIMG_ERROR_INVALID_ARG, REACHES(101),
     "error", "d101", 100, NULL},
    {"any-raw-long-at-once", NULL, 100, NULL, 0, 0, "a60 h5000", VIMG_ERROR_INVALID_ARG,
     REACHES(5060), "error", "d60 h5000", 100, NULL},
    {"any-length-more", NULL, 100, NULL, 0, 200, "a100", VIMG_N_ERRORS, NULL, "active", "d100", 100,
     "raw"},
    {"any-length-more-short", NULL, 100, NULL, 0, 200, "a90", VIMG_N_ERRORS, NULL, "saving", "d90",
     100, NULL},
    {"any-raw-pieces", NULL, 10000, NULL, 0, 0, "a1 a4000 h200 a10", VIMG_N_ERRORS, NULL, "active",
     "d4001 h200 d10 h5789", 10000, "raw"},
    {"any-raw-hole", NULL, 8192, NULL, 0, 0, "h8192", VIMG_N_ERRORS, NULL, "active", "h8192", 8192,
     "raw"},
    {"any-length-part", NULL, 100, NULL, 0, 40, "a40", VIMG_N_ERRORS, NULL, "saving", "d40", 100,
     NULL},
    {"any-length-whole", NULL, 100, NULL, 0, 100, "a100", VIMG_N_ERRORS, NULL, "active", "d100",
     100, "raw"},
    {"any-resume-last", NULL, 100, "a40", 40, 60, "b60", VIMG_N_ERRORS, NULL, "active", "d40 d60",
     100, "raw"},
    {"any-iso", NULL, 40000, NULL, 0, 0, "i36864", VIMG_N_ERRORS, NULL, "active", "d36864", 36864,
     "iso"},
    {"any-iso-long", NULL, 7, NULL, 0, 0, "i36864", VIMG_N_ERRORS, NULL, "active", "d36864", 36864,
     "iso"},
    {"any-qcow2", NULL, 100, NULL, 0, 0, "q2048", VIMG_N_ERRORS, NULL, "active", "d2048", 65536,
     "qcow2"},
    {"any-qcow2-large", NULL, 100, NULL, 0, 0, "q2048 a3000 h10", VIMG_N_ERRORS, NULL, "active",
     "d2048 d3000 h10", 65536, "qcow2"},
    {"any-qcow2-length", NULL, 2048, NULL, 0, 2048, "q2048", VIMG_N_ERRORS, NULL, "saving", "d2048",
     2048, NULL},
    {"any-qcow2-resume", NULL, 100, "q40", 40, 0, "q2008", VIMG_N_ERRORS, NULL, "active",
     "d40 d2008", 65536, "qcow2"},
    {"any-qcow2-resume-shorter", NULL, 100, "q2048", 0, 0, "q40", VIMG_ERROR_OPERATION_INVALID,
     NULL, "saving", "d2048", 100, NULL},
};

/* @at: where the first byte goes. */
static gboolean
send_steps(VimgTransfer *transfer, guint64 at, const char *steps, GError **error)
{
    g_auto(GStrv) list = g_strsplit(steps, " ", -1);
    char **step;

    for (step = list; *step && **step; step++) {
        guint64 n = g_ascii_strtoull(*step + 1, NULL, 10);
        gboolean ok = **step == 'h'   ? vimg_transfer_hole(transfer, n, error)
                      : **step == 'q' ? push_bytes(transfer, qcow2_image() + at, n, error)
                      : **step == 'i' ? push_bytes(transfer, iso_image() + at, n, error)
                                      : push(transfer, n, **step, error);

        if (!ok)
            return FALSE;
        at += n;
    }
    return TRUE;
}

static guint64
steps_size(const char *steps)
{
    g_auto(GStrv) list = g_strsplit(steps, " ", -1);
    guint64 size = 0;
    char **step;

    for (step = list; *step && **step; step++)
        size += g_ascii_strtoull(*step + 1, NULL, 10);
    return size;
}

static void
store_part(Fixture *fixture, const char *steps)
{
    VimgVolId vol = vol_id("images", "v");
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgTransfer) transfer =
        vimg_model_upload(fixture->model, &vol, 0, steps_size(steps), FALSE, &error);

    g_assert_no_error(error);
    g_assert_true(send_steps(transfer, 0, steps, NULL));
    g_assert_true(vimg_transfer_finish(transfer, NULL));
}

/* Returns: (transfer full) the format that is shown; NULL: none. */
static char *
vol_format(Fixture *fixture, const char *name)
{
    VimgVolId vol = vol_id("images", name);
    g_autofree char *xml = vimg_model_vol_xml(fixture->model, &vol, 0, NULL);
    const char *format = strstr(xml, "<format type='");

    if (!format)
        return NULL;
    format += strlen("<format type='");
    return g_strndup(format, strcspn(format, "'"));
}

static void
test_upload(Fixture *fixture, gconstpointer data)
{
    const Upload *row = data;
    VimgVolId vol = vol_id("images", "v");
    g_autoptr(GError) error = NULL;
    g_autofree char *state = NULL;
    g_autofree char *format = NULL;
    g_autofree char *extents = NULL;
    g_autofree char *events = NULL;
    VimgVolInfo info = {0};
    gboolean ok = FALSE;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", row->format, row->capacity);
    if (row->stored)
        store_part(fixture, row->stored);
    g_free(fixture_events(fixture));
    {
        g_autoptr(VimgTransfer) transfer =
            vimg_model_upload(fixture->model, &vol, row->offset, row->length, FALSE, &error);

        if (row->steps)
            g_assert_no_error(error);
        ok = transfer && send_steps(transfer, row->offset, row->steps, &error) &&
             vimg_transfer_finish(transfer, &error);
    }
    if (row->code == VIMG_N_ERRORS) {
        g_assert_no_error(error);
        g_assert_true(ok);
    } else {
        g_assert_false(ok);
        g_assert_error(error, VIMG_ERROR, (gint)row->code);
        if (row->text)
            assert_error_text(&error, row->code, row->text);
    }
    state = vol_state(fixture, "images", "v");
    g_assert_cmpstr(state, ==, row->state);
    format = vol_format(fixture, "v");
    g_assert_cmpstr(format, ==, row->format_after);
    extents = fixture->memory->extents("/mem/images", "v");
    g_assert_cmpstr(extents, ==, row->extents);
    g_assert_true(vimg_model_vol_info(fixture->model, &vol, &info, NULL));
    g_assert_cmpuint(info.capacity, ==, row->capacity_after);
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1); /* the pool */
    events = fixture_events(fixture); /* also of what failed, but not of what never began */
    g_assert_cmpstr(events, ==, row->steps ? "images:refreshed" : "");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(uploads); i++) {
        g_autofree char *path = g_strdup_printf("/model/transfer/upload/%s", uploads[i].path);

        FIXTURE_ADD(path, &uploads[i], test_upload);
    }
    return g_test_run();
}
