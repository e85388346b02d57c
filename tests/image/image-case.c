/*
 * image-case.c: one image, whole or spoilt, and what is found in it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image-case.h"

typedef struct {
    gboolean ok;
    VimgInspection found;
    GError *error;
} Verdict;

static gboolean
is_zero(const guint8 *data, gsize size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* Feeds pieces of @piece bytes; @holes: those of zeros as holes. */
static Verdict
inspect(const GByteArray *bytes, gsize piece, gboolean holes, const char *declared)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    Verdict verdict = {.error = NULL};
    gsize at;

    for (at = 0; at < bytes->len; at += piece) {
        gsize n = MIN(piece, bytes->len - at);
        /* a copy of its own, so that a sanitizer sees a read behind its end */
        g_autofree guint8 *data = g_memdup2(bytes->data + at, n);

        vimg_inspector_feed(inspector, holes && is_zero(data, n) ? NULL : data, n);
    }
    verdict.ok = vimg_inspector_finish(inspector, declared, &verdict.found, &verdict.error);
    return verdict;
}

/* Zeros in the place of whatever tells nothing. */
static Verdict
inspect_busy(const GByteArray *bytes, gsize piece, const char *declared)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    gsize end = bytes->len - MIN(bytes->len, VIMG_INSPECT_END);
    Verdict verdict = {.error = NULL};
    gsize at = 0;

    while (at < bytes->len) {
        guint64 idle = at < end ? MIN(vimg_inspector_idle(inspector), end - at) : 0;
        gsize n = idle > 0 ? idle : MIN(piece, bytes->len - at);

        vimg_inspector_feed(inspector, idle > 0 ? NULL : bytes->data + at, n);
        at += n;
    }
    verdict.ok = vimg_inspector_finish(inspector, declared, &verdict.found, &verdict.error);
    return verdict;
}

static void
check_case(const Case *c, const Verdict *verdict)
{
    if (c->code == GOOD) {
        g_assert_no_error(verdict->error);
        g_assert_true(verdict->ok);
        g_assert_cmpstr(verdict->found.format, ==, c->says);
        g_assert_cmpuint(verdict->found.capacity, ==, c->capacity);
        return;
    }
    g_assert_error(verdict->error, VIMG_ERROR, c->code);
    g_assert_false(verdict->ok);
    if (!strstr(verdict->error->message, c->says))
        g_error("'%s' is not in: %s", c->says, verdict->error->message);
}

static void
check_again(const Case *c, const Verdict *whole, Verdict again)
{
    check_case(c, &again);
    if (whole->error)
        g_assert_cmpstr(again.error->message, ==, whole->error->message);
    g_clear_error(&again.error);
}

static void
test_case(gconstpointer data)
{
    static const gsize pieces[] = {1, 7, 511, 512, 4095, 4096, 4097, 65536, 1000003};
    const Case *c = data;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Image image = {bytes};
    Verdict whole;
    gsize i;

    c->make(&image);
    image_seal(&image);
    for (i = 0; i < G_N_ELEMENTS(c->numbers) && c->numbers[i].width; i++)
        image_number(&image, c->numbers[i]);
    if (c->text)
        image_put(&image, c->text_at, c->text, strlen(c->text));
    if (!c->unsealed)
        image_seal(&image);
    image_grow(&image, bytes->len + MAX(c->grow, 0));
    g_byte_array_set_size(bytes, bytes->len + (guint)MIN(c->grow, 0));

    whole = inspect(bytes, G_MAXUINT32, FALSE, c->declared);
    check_case(c, &whole);
    for (i = 0; i < G_N_ELEMENTS(pieces); i++) {
        if (bytes->len > 64 * KIB && pieces[i] < 511)
            continue;
        check_again(c, &whole, inspect(bytes, pieces[i], i % 2, c->declared));
        check_again(c, &whole, inspect_busy(bytes, pieces[i], c->declared));
    }
    g_clear_error(&whole.error);
}

int
image_test_cases(int argc, char **argv, const Case *cases, gsize n)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < n; i++) {
        g_autofree char *path = g_strconcat("/formats/", cases[i].path, NULL);

        g_test_add_data_func(path, &cases[i], test_case);
    }
    return g_test_run();
}
