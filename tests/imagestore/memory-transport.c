/*
 * memory-transport.c: a storage in memory that fails where it is told to
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "memory-transport.h"
#include "store-helper.h"
#include "thread.h"

/* A file or a directory; each side says what is seen now and what a crash leaves. */
typedef struct _Node Node;
struct _Node {
    gint refs;
    gboolean directory;
    GBytes *content;
    GBytes *durable_content; /* NULL: none yet */
    GHashTable *entries;     /* name to Node */
    GHashTable *durable_entries;
    gint64 mtime;
    guint crash; /* the last one that decided on it */
    gboolean newer;
};

struct _MemoryDisk {
    pthread_mutex_t lock;
    Node *root;
    Fault fault;
    guint count;
    guint looks;
    gint64 clock;
    guint crashes;
    char *dir; /* what holds it instead where tests go through a server, else NULL */
};

typedef struct {
    VimgTransport parent;
    MemoryDisk *disk;
    gboolean whole;
    VimgTransport *inner; /* to disk->dir, or NULL */
    guint meet_in;        /* operations; 0: nobody is met any more */
    void (*meet)(gpointer data);
    gpointer met;
} Memory;

static void
node_unref(gpointer data)
{
    Node *node = data;

    if (--node->refs > 0)
        return;
    g_clear_pointer(&node->content, g_bytes_unref);
    g_clear_pointer(&node->durable_content, g_bytes_unref);
    g_clear_pointer(&node->entries, g_hash_table_unref);
    g_clear_pointer(&node->durable_entries, g_hash_table_unref);
    g_free(node);
}

static GHashTable *
entries_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, node_unref);
}

static Node *
node_new(MemoryDisk *disk, gboolean directory)
{
    Node *node = g_new0(Node, 1);

    node->refs = 1;
    node->directory = directory;
    node->mtime = ++disk->clock;
    if (directory) {
        node->entries = entries_new();
        node->durable_entries = entries_new();
    }
    return node;
}

static void
entries_put(GHashTable *entries, const char *name, Node *node)
{
    node->refs++;
    g_hash_table_insert(entries, g_strdup(name), node);
}

static void
entries_copy(GHashTable *to, GHashTable *from)
{
    GHashTableIter iter;
    gpointer name;
    gpointer node;

    g_hash_table_remove_all(to);
    g_hash_table_iter_init(&iter, from);
    while (g_hash_table_iter_next(&iter, &name, &node))
        entries_put(to, name, node);
}

/* ---- durability ------------------------------------------------------------------------- */

static void
node_sync(Node *node)
{
    if (node->directory) {
        entries_copy(node->durable_entries, node->entries);
        return;
    }
    g_clear_pointer(&node->durable_content, g_bytes_unref);
    node->durable_content = g_bytes_ref(node->content);
}

static void
node_sync_all(Node *node)
{
    GHashTableIter iter;
    gpointer child;

    node_sync(node);
    if (!node->directory)
        return;
    g_hash_table_iter_init(&iter, node->entries);
    while (g_hash_table_iter_next(&iter, NULL, &child))
        node_sync_all(child);
}

typedef struct {
    guint number;
    GRand *chance; /* NULL: always the old state */
} Crash;

/*
 * Whether the new state of the entries of @node is there.  Decided once: a rename is in both
 * directories or in none, unless one of them was made durable alone.
 */
static gboolean
is_newer(Node *node, const Crash *crash)
{
    if (node->crash != crash->number)
        node->newer = crash->chance && g_rand_boolean(crash->chance);
    node->crash = crash->number;
    return node->newer;
}

/* Of entries that differ, chance takes the new or the old state. */
static void
mix_entries(Node *node, const Crash *crash)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTable *result = entries_new();
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, node->entries);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        g_hash_table_add(names, name);
    g_hash_table_iter_init(&iter, node->durable_entries);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        g_hash_table_add(names, name);
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        Node *now = g_hash_table_lookup(node->entries, name);
        Node *before = g_hash_table_lookup(node->durable_entries, name);
        Node *child = is_newer(now ? now : before, crash) ? now : before;

        if (child)
            entries_put(result, name, child);
    }
    g_hash_table_unref(node->entries);
    node->entries = result;
}

static void
node_crash(Node *node, const Crash *crash)
{
    GHashTableIter iter;
    gpointer child;

    if (!node->directory) {
        if (!node->durable_content)
            node->durable_content = g_bytes_new_static("", 0);
        g_bytes_unref(node->content);
        node->content = g_bytes_ref(node->durable_content);
        return;
    }
    mix_entries(node, crash);
    entries_copy(node->durable_entries, node->entries);
    g_hash_table_iter_init(&iter, node->entries);
    while (g_hash_table_iter_next(&iter, NULL, &child))
        node_crash(child, crash);
}

void
memory_disk_crash(MemoryDisk *disk, guint32 seed)
{
    Crash crash = {++disk->crashes, seed ? g_rand_new_with_seed(seed) : NULL};

    g_assert_null(disk->dir);
    disk->fault = (Fault){FAULT_NONE};
    node_crash(disk->root, &crash);
    g_clear_pointer(&crash.chance, g_rand_free);
}

/* ---- operations ------------------------------------------------------------------------- */

/* The node at @path; @parent and @name: where it is or would be, NULL if even that is missing. */
static Node *
look_up(const Memory *memory, const char *path, Node **parent, char **name)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 0);
    Node *node = memory->disk->root;
    gsize i;

    *parent = NULL;
    *name = NULL;
    if (strcmp(path, ".") == 0)
        return node;
    for (i = 0; parts[i]; i++) {
        if (!node || !node->directory) {
            *parent = NULL;
            return NULL;
        }
        *parent = node;
        node = g_hash_table_lookup(node->entries, parts[i]);
    }
    *name = g_strdup(parts[i - 1]);
    return node;
}

static gboolean
is_durable(const Memory *memory, const VimgOp *op)
{
    return op->durable && !memory->whole;
}

static int
add_node(const Memory *memory, Node *parent, const char *name, Node *node, const VimgOp *op)
{
    if (!parent)
        return ENOENT;
    if (g_hash_table_contains(parent->entries, name))
        return EEXIST;
    if (!node) {
        node = node_new(memory->disk, op->kind == VIMG_OP_MKDIR);
        if (!node->directory)
            node->content = g_bytes_new(op->data, op->size);
        if (!node->directory && is_durable(memory, op))
            node_sync(node);
        entries_put(parent->entries, name, node);
        node_unref(node);
    } else {
        entries_put(parent->entries, name, node);
    }
    parent->mtime = ++memory->disk->clock;
    return 0;
}

static void
remove_entry(const Memory *memory, Node *parent, const char *name)
{
    g_hash_table_remove(parent->entries, name);
    parent->mtime = ++memory->disk->clock;
}

static int
rename_node(const Memory *memory, const VimgOp *op, Node *node, Node *parent, const char *name)
{
    g_autofree char *new_name = NULL;
    Node *new_parent;
    int result;

    if (!node)
        return ENOENT;
    look_up(memory, op->to, &new_parent, &new_name);
    result = add_node(memory, new_parent, new_name, node, op);
    if (result == 0)
        remove_entry(memory, parent, name);
    return result;
}

static int
read_node(VimgOp *op, const Node *node)
{
    gsize size;
    gconstpointer data = g_bytes_get_data(node->content, &size);

    if (size > op->size)
        return EFBIG;
    op->content = vimg_buffer_new(size);
    if (size > 0)
        memcpy(op->content->data, data, size);
    return 0;
}

static void
fill_info(const Node *node, VimgFileInfo *out)
{
    out->type = node->directory ? VIMG_FILE_DIRECTORY : VIMG_FILE_REGULAR;
    out->size = node->directory ? 0 : g_bytes_get_size(node->content);
    out->mtime = node->mtime;
    out->allocation = out->size;
}

static int
read_node_at(VimgOp *op, const Node *node)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(node->content, &size);
    gsize at = MIN(op->offset, size);

    op->content = vimg_buffer_new(MIN(op->size, size - at));
    if (op->content->size > 0)
        memcpy(op->content->data, data + at, op->content->size);
    fill_info(node, &op->info);
    return 0;
}

static int
list_node(VimgOp *op, const Node *node)
{
    GHashTableIter iter;
    gpointer name;
    gpointer child;

    op->names = g_ptr_array_new_with_free_func(g_free);
    if (op->with_infos)
        op->infos = g_array_new(FALSE, FALSE, sizeof(VimgFileInfo));
    g_hash_table_iter_init(&iter, node->entries);
    while (g_hash_table_iter_next(&iter, &name, &child)) {
        VimgFileInfo info = {0};

        if (op->most > 0 && op->names->len == op->most)
            break;
        fill_info(child, &info);
        g_ptr_array_add(op->names, g_strdup(name));
        if (op->infos)
            g_array_append_val(op->infos, info);
    }
    return 0;
}

static int
run_op(const Memory *memory, VimgOp *op)
{
    g_autofree char *name = NULL;
    Node *parent;
    Node *node = look_up(memory, op->path, &parent, &name);

    if (op->kind == VIMG_OP_MKDIR || op->kind == VIMG_OP_CREATE)
        return add_node(memory, parent, name, NULL, op);
    if (op->kind == VIMG_OP_RENAME || op->kind == VIMG_OP_PUBLISH)
        return rename_node(memory, op, node, parent, name);
    if (!node)
        return ENOENT;
    switch (op->kind) {
    case VIMG_OP_RMDIR:
        if (!node->directory)
            return ENOTDIR;
        if (g_hash_table_size(node->entries) > 0)
            return ENOTEMPTY;
        remove_entry(memory, parent, name);
        return 0;
    case VIMG_OP_UNLINK:
        if (node->directory)
            return EISDIR;
        remove_entry(memory, parent, name);
        return 0;
    case VIMG_OP_OVERWRITE:
        g_bytes_unref(node->content);
        node->content = g_bytes_new(op->data, op->size);
        node->mtime = ++memory->disk->clock;
        if (is_durable(memory, op))
            node_sync(node);
        return 0;
    case VIMG_OP_READ:
        return node->directory ? EINVAL : read_node(op, node);
    case VIMG_OP_READ_AT:
        return node->directory ? EINVAL : read_node_at(op, node);
    case VIMG_OP_STAT:
        fill_info(node, &op->info);
        return 0;
    case VIMG_OP_LIST:
        return node->directory ? list_node(op, node) : ENOTDIR;
    case VIMG_OP_SYNC:
        node_sync(node);
        return 0;
    default:
        return EINVAL;
    }
}

static gboolean
is_change(VimgOpKind kind)
{
    return kind != VIMG_OP_READ && kind != VIMG_OP_READ_AT && kind != VIMG_OP_STAT &&
           kind != VIMG_OP_LIST;
}

/* Bytes of all files below @node; a directory and what it says of a file count for a little. */
static gsize
weigh(const Node *node)
{
    gsize sum = 64;
    GHashTableIter iter;
    gpointer child;

    if (!node->directory)
        return sum + g_bytes_get_size(node->content);
    g_hash_table_iter_init(&iter, node->entries);
    while (g_hash_table_iter_next(&iter, NULL, &child))
        sum += weigh(child);
    return sum;
}

/* Whether the operation fails by order; @durable: as FAULT_SYNC; @size: bytes it would write. */
static int
injected(MemoryDisk *disk, VimgOpKind kind, gboolean durable, gsize size)
{
    const Fault *fault = &disk->fault;
    gboolean changes = is_change(kind);

    if (changes)
        disk->count++;
    else
        disk->looks++;
    if (fault->kind == FAULT_LOOK && !changes && disk->looks == fault->at)
        return fault->result;
    if (fault->kind == FAULT_CRASH && disk->count >= fault->at)
        return EIO;
    if (fault->kind == FAULT_ERROR && changes && disk->count == fault->at)
        return fault->result;
    if (fault->kind == FAULT_SYNC && durable && disk->count >= fault->at)
        return EIO;
    if (fault->space && size > fault->space)
        return ENOSPC;
    if (fault->room && (kind == VIMG_OP_MKDIR || kind == VIMG_OP_CREATE) &&
        weigh(disk->root) + 64 + size > fault->room)
        return ENOSPC;
    return 0;
}

/* No lock is held. */
static void
meet(Memory *memory)
{
    if (__atomic_load_n(&memory->meet_in, __ATOMIC_RELAXED) > 0 &&
        __atomic_sub_fetch(&memory->meet_in, 1, __ATOMIC_ACQ_REL) == 0)
        memory->meet(memory->met);
}

static void
run_one(Memory *memory, VimgOp *op)
{
    LOCK_GUARD(&memory->disk->lock);

    op->result =
        injected(memory->disk, op->kind, op->kind == VIMG_OP_SYNC || is_durable(memory, op),
                 op->kind == VIMG_OP_CREATE ? op->size : 0);
    if (op->result == 0)
        op->result = run_op(memory, op);
}

/* Whether nothing is to happen at one operation or the other. */
static gboolean
is_quiet(Memory *memory)
{
    LOCK_GUARD(&memory->disk->lock);

    return memory->disk->fault.kind == FAULT_NONE && memory->disk->fault.space == 0 &&
           __atomic_load_n(&memory->meet_in, __ATOMIC_RELAXED) == 0;
}

/* The same on the server; what is to happen at one operation needs them one by one. */
static void
run_behind(Memory *memory, VimgOp *ops, gsize n)
{
    gboolean quiet = is_quiet(memory);
    gsize i;

    for (i = 0; i < n; i++) {
        if (!quiet)
            meet(memory);
        {
            LOCK_GUARD(&memory->disk->lock);

            ops[i].result = injected(memory->disk, ops[i].kind,
                                     ops[i].kind == VIMG_OP_SYNC || is_durable(memory, &ops[i]),
                                     ops[i].kind == VIMG_OP_CREATE ? ops[i].size : 0);
        }
        if (!quiet && ops[i].result == 0)
            vimg_transport_run(memory->inner, &ops[i], 1);
    }
    if (quiet)
        vimg_transport_run(memory->inner, ops, n);
}

static void
memory_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    Memory *memory = (Memory *)transport;
    gsize i;

    if (memory->inner) {
        run_behind(memory, ops, n);
        return;
    }
    for (i = 0; i < n; i++) {
        meet(memory);
        run_one(memory, &ops[i]);
    }
}

static int
memory_sync_all(VimgTransport *transport)
{
    Memory *memory = (Memory *)transport;
    int result;
    LOCK_GUARD(&memory->disk->lock);

    if (!memory->whole || memory->inner)
        return ENOSYS;
    result = injected(memory->disk, VIMG_OP_SYNC, TRUE, 0);
    if (result == 0)
        node_sync_all(memory->disk->root);
    return result;
}

static int
memory_space(VimgTransport *transport, VimgSpace *out)
{
    out->total = G_GUINT64_CONSTANT(1) << 40;
    out->available = out->total;
    return 0;
}

static void
memory_free(VimgTransport *transport)
{
    Memory *memory = (Memory *)transport;

    vimg_transport_free(memory->inner);
    g_free(memory);
}

static const VimgTransportOps memory_ops = {
    .run = memory_run,
    .sync_all = memory_sync_all,
    .space = memory_space,
    .free = memory_free,
};

VimgTransport *
memory_transport_new(MemoryDisk *disk, gboolean whole)
{
    Memory *memory = g_new0(Memory, 1);

    memory->parent.ops = &memory_ops;
    memory->disk = disk;
    memory->whole = whole;
    memory->inner = disk->dir ? helper_transport(disk->dir) : NULL;
    return &memory->parent;
}

void
memory_transport_meet(VimgTransport *transport, guint at, void (*func)(gpointer data),
                      gpointer data)
{
    Memory *memory = (Memory *)transport;

    memory->meet = func;
    memory->met = data;
    __atomic_store_n(&memory->meet_in, at, __ATOMIC_RELEASE);
}

/* ---- disks ------------------------------------------------------------------------------ */

gboolean
memory_disk_is_memory(void)
{
    return !g_getenv("VIMG_TEST_TRANSPORT");
}

MemoryDisk *
memory_disk_new(void)
{
    MemoryDisk *disk = g_new0(MemoryDisk, 1);

    thread_must(pthread_mutex_init(&disk->lock, NULL));
    disk->root = node_new(disk, TRUE);
    if (!memory_disk_is_memory())
        disk->dir = helper_dir();
    return disk;
}

static Node *
node_copy(MemoryDisk *disk, const Node *node)
{
    Node *copy = node_new(disk, node->directory);
    GHashTableIter iter;
    gpointer name;
    gpointer child;

    copy->mtime = node->mtime;
    if (!node->directory) {
        copy->content = g_bytes_ref(node->content);
    } else {
        g_hash_table_iter_init(&iter, node->entries);
        while (g_hash_table_iter_next(&iter, &name, &child))
            g_hash_table_insert(copy->entries, g_strdup(name), node_copy(disk, child));
    }
    node_sync(copy);
    return copy;
}

MemoryDisk *
memory_disk_copy(const MemoryDisk *disk)
{
    MemoryDisk *copy = memory_disk_new();

    if (disk->dir)
        helper_copy_dir(disk->dir, copy->dir);
    node_unref(copy->root);
    copy->clock = disk->clock;
    copy->root = node_copy(copy, disk->root);
    return copy;
}

void
memory_disk_free(MemoryDisk *disk)
{
    if (disk->dir)
        helper_remove_dir(disk->dir);
    g_free(disk->dir);
    node_unref(disk->root);
    pthread_mutex_destroy(&disk->lock);
    g_free(disk);
}

void
memory_disk_set_fault(MemoryDisk *disk, const Fault *fault)
{
    LOCK_GUARD(&disk->lock);

    g_assert_true(!disk->dir || fault->room == 0);
    disk->fault = *fault;
    disk->count = 0;
    disk->looks = 0;
}

void
memory_disk_let_pass(MemoryDisk *disk, guint seconds)
{
    LOCK_GUARD(&disk->lock);

    disk->clock += seconds * G_GINT64_CONSTANT(1000000000);
}

guint
memory_disk_count(MemoryDisk *disk)
{
    LOCK_GUARD(&disk->lock);

    return disk->count;
}

guint
memory_disk_count_looks(MemoryDisk *disk)
{
    LOCK_GUARD(&disk->lock);

    return disk->looks;
}

gsize
memory_disk_weigh(MemoryDisk *disk)
{
    LOCK_GUARD(&disk->lock);

    return weigh(disk->root);
}
