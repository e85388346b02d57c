/*
 * primary-choose.c: what an image of ours becomes in a pool of the host
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "host/primary-clone.h"
#include "host/primary-mark.h"
#include "image/inspect.h"
#include "image/qcow2-header.h"
#include "util/i18n.h"

/* Bytes that a file may take beside those in it. */
#define SPARE ((guint64)1024 * 1024)
#define ULL(number) ((unsigned long long)(number))

const char *
vimg_host_stored_format(const char *format)
{
    return strcmp(format, "iso") == 0 ? VIMG_HOST_RAW : format;
}

static gboolean
choose_way(VimgHostClone *clone, GError **error)
{
    const char *have = vimg_host_stored_format(clone->info.format);
    const char *want =
        clone->def->format ? vimg_host_stored_format(clone->def->format) : VIMG_HOST_RAW;

    if (clone->to.kind != VIMG_HOST_FILES && strcmp(want, VIMG_HOST_RAW) != 0)
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("volumes of the host's pool '%1$s', which is of type '%2$s', are raw, not '%3$s'"),
            virStoragePoolGetName(clone->to.pool), clone->to.type, want);
    clone->format = want;
    if (strcmp(have, want) == 0)
        clone->way = VIMG_HOST_AS_IS;
    else if (strcmp(want, VIMG_HOST_RAW) == 0)
        clone->way = VIMG_HOST_TO_RAW;
    else if (strcmp(want, VIMG_HOST_QCOW2) == 0)
        clone->way = VIMG_HOST_TO_QCOW2;
    else
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("image '%1$s' can become a volume of format 'raw', 'qcow2' or '%2$s', not '%3$s'"),
            clone->info.name, clone->info.format, want);
    return TRUE;
}

/* As in stock: less than its source has, it never has. */
gboolean
vimg_host_clone_choose_capacity(VimgHostClone *clone, GError **error)
{
    guint64 asked = clone->def->has_capacity ? clone->def->capacity : 0;

    clone->capacity = MAX(asked, clone->info.capacity);
    if (clone->capacity == clone->info.capacity || strcmp(clone->format, VIMG_HOST_RAW) == 0 ||
        strcmp(clone->format, VIMG_HOST_QCOW2) == 0)
        return TRUE;
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_UNSUPPORTED,
        _("a volume of format '%1$s' must have the capacity of its image, %2$llu bytes"),
        clone->format, ULL(clone->info.capacity));
}

/* What is no raw disk, and is not made anew, says its own capacity, and grows when all but the mark
 * is written. */
guint64
vimg_host_clone_first_capacity(const VimgHostClone *clone)
{
    gboolean own = clone->way == VIMG_HOST_AS_IS && strcmp(clone->format, VIMG_HOST_RAW) != 0;

    return own ? clone->info.capacity : clone->capacity;
}

gboolean
vimg_host_clone_grows(const VimgHostClone *clone)
{
    return vimg_host_clone_first_capacity(clone) != clone->capacity;
}

guint64
vimg_host_clone_content(const VimgHostClone *clone)
{
    if (clone->way == VIMG_HOST_TO_QCOW2)
        return VIMG_HOST_HEAD; /* each has its header and three tables */
    if (strcmp(clone->format, VIMG_HOST_RAW) == 0 && clone->to.kind == VIMG_HOST_FILES)
        return clone->capacity;
    return clone->way == VIMG_HOST_AS_IS ? clone->info.physical : clone->info.capacity;
}

static gboolean
is_zeros(const guint8 *data, gsize size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* Whether the mark of an unfinished volume may lie in its first cluster while others write to it.
 */
static gboolean
has_room(const VimgHostClone *clone)
{
    const VimgExtent *first = &clone->first;
    guint64 place = vimg_host_mark_place(vimg_host_clone_content(clone));
    const guint8 *head;
    VimgQcow2Header header;

    if (clone->info.physical < VIMG_HOST_HEAD || !first->data ||
        first->length < MAX(place + VIMG_HOST_MARK_SIZE, VIMG_INSPECT_HEAD))
        return FALSE;
    head = first->data->data + first->offset;
    header = vimg_qcow2_header_read(head);
    return header.cluster_bits < 32 && vimg_qcow2_cluster_size(&header) >= VIMG_HOST_HEAD &&
           vimg_qcow2_is_at_rest(head) && is_zeros(head + place, VIMG_HOST_MARK_SIZE) &&
           (header.version > 2 || header.snapshots == 0); /* QEMU makes no such larger */
}

/* libvirt makes no volume larger that takes more than that already. */
static gboolean
is_packed(const VimgHostClone *clone)
{
    return clone->info.physical + SPARE > clone->capacity;
}

/* One that libvirt cannot make larger while it has the mark is made anew, as large as it is to be.
 */
static gboolean
choose_anew(VimgHostClone *clone, GError **error)
{
    if (clone->way != VIMG_HOST_AS_IS || !vimg_host_clone_grows(clone))
        return TRUE;
    if (!is_packed(clone) && !vimg_transfer_next(clone->transfer, &clone->first, error))
        return FALSE;
    if (!has_room(clone))
        clone->way = VIMG_HOST_TO_QCOW2;
    return TRUE;
}

gboolean
vimg_host_clone_choose(VimgHostClone *clone, GError **error)
{
    return choose_way(clone, error) && vimg_host_clone_choose_capacity(clone, error) &&
           choose_anew(clone, error);
}
