/*
 * layout.c: where RBD keeps what it knows of images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "layout.h"

#define ID_OBJECT "rbd_id."       /* and the name: the id */
#define DIRECTORY "rbd_directory" /* "id_" and the id: the name */
#define ID_KEY "id_"
#define TRASH "rbd_trash"
#define MAX_ERRNO 4095  /* librados says so where a comparison failed, and beyond where */
#define STRING_MAX 4096 /* bytes of an encoded name or id */

guint64
vimg_layout_number(const char *data, gsize size, gsize n)
{
    guint64 number = 0;

    if (size < n)
        return 0;
    while (n-- > 0)
        number = number << 8 | (guint8)data[n];
    return number;
}

/* A string that its length precedes. */
static int
take_string(const char *data, gsize size, char **out)
{
    gsize length = (gsize)vimg_layout_number(data, size, 4);

    if (length == 0 || length > size - 4 || memchr(data + 4, 0, length))
        return -EBADMSG;
    *out = g_strndup(data + 4, length);
    return 0;
}

int
vimg_layout_id_of(VimgCluster *cluster, const char *name, char **out)
{
    g_autofree char *object = g_strconcat(ID_OBJECT, name, NULL);
    char data[STRING_MAX];
    int result = rados_read(cluster->io, object, data, sizeof(data), 0);

    return result < 0 ? result : take_string(data, (gsize)result, out);
}

int
vimg_layout_name_of(VimgCluster *cluster, const char *id, char **out)
{
    g_autofree char *key = g_strconcat(ID_KEY, id, NULL);
    const char *keys[] = {key};
    rados_read_op_t op = rados_create_read_op();
    rados_omap_iter_t values = NULL;
    char *found = NULL;
    char *value = NULL;
    size_t length = 0;
    int result;
    int inner = 0;

    rados_read_op_omap_get_vals_by_keys(op, keys, 1, &values, &inner);
    result = rados_read_op_operate(op, cluster->io, DIRECTORY, 0);
    if (result == 0)
        result = inner;
    if (result == 0)
        result = rados_omap_get_next(values, &found, &value, &length);
    if (result == 0)
        result = value ? take_string(value, length, out) : -ENOENT;
    if (values)
        rados_omap_get_end(values);
    rados_release_read_op(op);
    return result;
}

/* ---- what was cut short ----------------------------------------------------------------- */

/* Returns: 0, or a negative errno; beyond -MAX_ERRNO: it leads elsewhere by now. */
static int
remove_name(VimgCluster *cluster, const char *name, const char *id)
{
    g_autofree char *object = g_strconcat(ID_OBJECT, name, NULL);
    g_autoptr(GByteArray) content = g_byte_array_new();
    guint32 length = GUINT32_TO_LE((guint32)strlen(id));
    rados_write_op_t op = rados_create_write_op();
    int compared = 0;
    int result;

    g_byte_array_append(content, (const guint8 *)&length, sizeof(length));
    g_byte_array_append(content, (const guint8 *)id, (guint)strlen(id));
    rados_write_op_cmpext(op, (const char *)content->data, content->len, 0, &compared);
    rados_write_op_remove(op);
    result = rados_write_op_operate(op, cluster->io, object, NULL, 0);
    rados_release_write_op(op);
    return result;
}

int
vimg_layout_drop_name(VimgCluster *cluster, const char *name, const char *id)
{
    g_autofree char *found = NULL;
    g_autofree char *used = NULL;
    int result = vimg_layout_id_of(cluster, name, &found);

    if (result < 0)
        return result == -ENOENT ? 0 : result;
    if (strcmp(found, id) != 0)
        return -EEXIST;
    result = vimg_layout_name_of(cluster, id, &used);
    if (result == 0 && strcmp(used, name) == 0)
        return -EEXIST;
    if (result < 0 && result != -ENOENT)
        return result;
    result = remove_name(cluster, name, id);
    if (result <= -MAX_ERRNO)
        return -EEXIST;
    return result == -ENOENT ? 0 : result;
}

int
vimg_layout_rename(VimgCluster *cluster, const char *id, const char *from, const char *to)
{
    g_autofree char *name = NULL;
    int result = rbd_rename(cluster->io, from, to);

    if (result == 0)
        return 0;
    if (vimg_layout_name_of(cluster, id, &name) == 0 && strcmp(name, to) == 0) {
        vimg_layout_drop_name(cluster, from, id);
        return 0;
    }
    if (result != -EEXIST)
        return result;
    result = vimg_layout_drop_name(cluster, to, id);
    return result == 0 ? rbd_rename(cluster->io, from, to) : result;
}

int
vimg_layout_end_move(VimgCluster *cluster, const char *id)
{
    static const guint8 states[] = {0, 1}; /* normal, if it is moving */
    guint32 length = GUINT32_TO_LE((guint32)strlen(id));
    g_autoptr(GByteArray) call = g_byte_array_new();
    char answer[1];
    int result;

    g_byte_array_append(call, (const guint8 *)&length, sizeof(length));
    g_byte_array_append(call, (const guint8 *)id, (guint)strlen(id));
    g_byte_array_append(call, states, sizeof(states));
    result = rados_exec(cluster->io, TRASH, "rbd", "trash_state_set", (const char *)call->data,
                        call->len, answer, sizeof(answer));
    return MIN(result, 0);
}
