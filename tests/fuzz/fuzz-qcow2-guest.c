/*
 * fuzz-qcow2-guest.c: qcow2 files whose disk is looked for, here and there
 *
 * Of every table that is there some entries are followed; what is packed is unpacked.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fuzz.h"
#include "image/inspect.h"
#include "image/qcow2-guest.h"
#include "util/error.h"

#define LOOKS 64
#define STEPS 7 /* places of the disk, beside those that follow each other */

static gboolean
look(const VimgQcow2Guest *guest, const guint8 *file, guint64 offset, VimgQcow2Found *found,
     GError **error)
{
    guint64 first = vimg_qcow2_guest_first(guest, offset), at;

    g_assert_cmpuint(first, <=, guest->stored - VIMG_QCOW2_FIRST);
    if (!vimg_qcow2_guest_second(guest, file + first, offset, &at, found, error))
        return FALSE;
    if (at == 0)
        return TRUE;
    g_assert_cmpuint(at, <=, guest->stored - vimg_qcow2_guest_entry(guest));
    return vimg_qcow2_guest_look(guest, file + at, offset, found, error);
}

static void
check(const VimgQcow2Guest *guest, const guint8 *file, guint64 offset, const VimgQcow2Found *found)
{
    g_autofree guint8 *cluster = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(found->length, >, 0);
    g_assert_cmpuint(found->length, <=, guest->size - offset);
    if (found->kind == VIMG_QCOW2_IS_ZEROS)
        return;
    g_assert_cmpuint(found->source, <, guest->stored);
    if (found->kind == VIMG_QCOW2_IS_DATA) {
        g_assert_cmpuint(found->length, <=, guest->stored - found->source);
        return;
    }
    g_assert_cmpuint(found->packed, >, 0);
    g_assert_cmpuint(found->packed, <=, MIN(guest->stored - found->source, VIMG_QCOW2_PACKED_MAX));
    g_assert_cmpuint(found->skip + found->length, <=, (guint64)1 << guest->bits);
    cluster = g_malloc((gsize)1 << guest->bits);
    if (!vimg_qcow2_guest_unpack(guest, file + found->source, found->packed, cluster, &error))
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_PROBE);
}

/* Returns: where to look next */
static guint64
look_at(const VimgQcow2Guest *guest, const guint8 *file, guint64 offset)
{
    g_autoptr(GError) error = NULL;
    VimgQcow2Found found;

    if (!look(guest, file, offset, &found, &error)) {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_PROBE);
        return offset + ((guint64)1 << guest->bits);
    }
    check(guest, file, offset, &found);
    return offset + found.length;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    VimgQcow2Guest guest;
    guint64 at = 0;

    if (!vimg_qcow2_guest_read(&guest, data, MIN(size, VIMG_INSPECT_HEAD), size, &error)) {
        g_assert_true(error->domain == VIMG_ERROR);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        return 0;
    }
    for (guint i = 0; i < LOOKS && at < guest.size; i++)
        at = look_at(&guest, data, at);
    for (guint i = 1; i < STEPS && guest.size > 0; i++)
        look_at(&guest, data, (guest.size - 1) / STEPS * i);
    if (guest.size > 0)
        look_at(&guest, data, guest.size - 1);
    return 0;
}
