/*
 * owner.c: which process of which host a lease or a collector's run belongs to
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "owner.h"
#include "slice.h"
#include "../thread.h"

#define MACHINE_DIGITS 16
#define BOOT_DIGITS 8

#define BOOTS_FILE "boots"
#define BOOTS_MAX 64

static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *held;  /* of char; guarded by held_lock */
static GHashTable *boots; /* digits of what this machine noted itself; guarded by held_lock */

/* Field 22 of /proc/PID/stat, clock ticks after boot; 0: it cannot be read. */
static guint64
process_start(guint64 pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GUINT64_FORMAT "/stat", pid);
    g_autofree char *text = NULL;
    g_auto(GStrv) fields = NULL;
    const char *after;
    guint64 start = 0;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    /* the name in parentheses may hold anything */
    after = strrchr(text, ')');
    if (!after)
        return 0;
    fields = g_strsplit(after + 1, " ", 0);
    if (g_strv_length(fields) <= 20 ||
        !g_ascii_string_to_unsigned(fields[20], 10, 0, G_MAXINT64, &start, NULL))
        return 0;
    return start;
}

/* Surely: a /proc that cannot be read, for want of descriptors or rights, says nothing. */
static gboolean
process_ended(guint64 pid, guint64 start)
{
    guint64 found = process_start(pid);

    if (found == 0)
        return pid > 0 && pid <= G_MAXINT && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
    return start != 0 && found != start;
}

/* Returns: (transfer full) what is in @path, "" if nothing can be read there. */
static char *
read_word(const char *path)
{
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return g_strdup("");
    return g_strstrip(text);
}

static char *
boot_id(void)
{
    return read_word("/proc/sys/kernel/random/boot_id");
}

/* Process ids mean something only within one of these. */
static char *
pid_namespace(void)
{
    char *link = g_file_read_link("/proc/self/ns/pid", NULL);

    return link ? link : g_strdup("");
}

/*
 * Machines copied from one another, with all that their daemon noted, may share the machine id and
 * even the name.  What the firmware says tells them apart, where it may be read.
 */
static char *
machine(void)
{
    g_autofree char *id = read_word("/etc/machine-id");
    g_autofree char *product = read_word("/sys/class/dmi/id/product_uuid");
    g_autofree char *text = NULL;

    if (!*id)
        return g_strdup("");
    text = g_strconcat("virtimage ", id, " ", g_get_host_name(), " ", product, NULL);
    return vimg_sha256_hex(text, strlen(text));
}

/* "<machine>-<boot>-", NULL if they cannot be known. */
static char *
id_prefix(void)
{
    g_autofree char *host = machine();
    g_autofree char *boot = boot_id();
    g_autofree char *digest = NULL;

    if (!*host || !*boot)
        return NULL;
    digest = vimg_sha256_hex(boot, strlen(boot));
    return g_strdup_printf("%.*s-%.*s-", MACHINE_DIGITS, host, BOOT_DIGITS, digest);
}

char *
vimg_owner_new_id(void)
{
    g_autofree char *prefix = id_prefix();
    g_autofree char *uuid = g_uuid_string_random();

    return g_strconcat(prefix ? prefix : "", uuid, NULL);
}

static void
learn_boot(const char *digits)
{
    LOCK_GUARD(&held_lock);

    if (!boots)
        boots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_add(boots, g_strdup(digits));
}

static gboolean
knows_boot(const char *id)
{
    g_autofree char *digits = g_strndup(id + MACHINE_DIGITS + 1, BOOT_DIGITS);
    LOCK_GUARD(&held_lock);

    return boots && g_hash_table_contains(boots, digits);
}

void
vimg_owner_note_boot(const char *state_dir)
{
    g_autofree char *path = g_build_filename(state_dir, BOOTS_FILE, NULL);
    g_autofree char *prefix = id_prefix();
    g_autofree char *text = NULL;
    g_autofree char *present = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GString) kept = g_string_new(NULL);
    guint n;
    guint i;

    if (!prefix)
        return;
    present = g_strndup(prefix + MACHINE_DIGITS + 1, BOOT_DIGITS);
    if (!g_file_get_contents(path, &text, NULL, NULL))
        text = g_strdup("");
    lines = g_strsplit(g_strchomp(text), "\n", 0);
    n = g_strv_length(lines);
    for (i = n - MIN(n, BOOTS_MAX - 1); i < n; i++) {
        learn_boot(lines[i]);
        g_string_append_printf(kept, "%s\n", lines[i]);
    }
    learn_boot(present);
    if (n > 0 && strcmp(lines[n - 1], present) == 0)
        return;
    g_string_append_printf(kept, "%s\n", present);
    g_mkdir_with_parents(state_dir, 0700);
    /* without it, what this boot leaves is given up a quarter of an hour later */
    g_file_set_contents(path, kept->str, (gssize)kept->len, NULL);
}

/*
 * Machines copied from one another may share id and name, so a boot unlike ours is an earlier one
 * only if it was noted here.
 */
static gboolean
is_of_earlier_boot(const char *id)
{
    g_autofree char *prefix = id_prefix();
    const gsize length = MACHINE_DIGITS + 1 + BOOT_DIGITS + 1;

    return prefix && strlen(id) > length && id[length - 1] == '-' &&
           strncmp(id, prefix, MACHINE_DIGITS + 1) == 0 && strncmp(id, prefix, length) != 0 &&
           knows_boot(id);
}

char *
vimg_owner_format(void)
{
    g_autoptr(JsonObject) root = json_object_new();
    g_autofree char *boot = boot_id();
    g_autofree char *space = pid_namespace();

    json_object_set_string_member(root, "host", g_get_host_name());
    json_object_set_string_member(root, "boot", boot);
    json_object_set_string_member(root, "pidNamespace", space);
    json_object_set_int_member(root, "pid", getpid());
    json_object_set_int_member(root, "start", (gint64)process_start((guint64)getpid()));
    return vimg_json_format(root);
}

int
vimg_owner_write(VimgTransport *transport, const char *dir)
{
    g_autofree char *owner = g_strconcat(dir, "/" VIMG_OWNER_FILE, NULL);
    g_autofree char *heartbeat = g_strconcat(dir, "/" VIMG_HEARTBEAT_FILE, NULL);
    g_autofree char *text = vimg_owner_format();
    VimgOp files[] = {
        {.kind = VIMG_OP_CREATE, .path = owner, .data = text, .size = strlen(text)},
        {.kind = VIMG_OP_CREATE, .path = heartbeat, .data = "0\n", .size = 2},
    };

    vimg_transport_run(transport, files, G_N_ELEMENTS(files));
    return files[0].result ? files[0].result : files[1].result;
}

JsonObject *
vimg_owner_read(VimgTransport *transport, const char *dir)
{
    g_autofree char *path = g_strconcat(dir, "/" VIMG_OWNER_FILE, NULL);
    g_autoptr(VimgBuffer) content = NULL;

    if (vimg_transport_read(transport, path, VIMG_OWNER_MAX_SIZE, &content) != 0)
        return NULL;
    return vimg_json_parse(content->data, content->size, NULL);
}

void
vimg_owner_hold(const char *id)
{
    LOCK_GUARD(&held_lock);

    if (!held)
        held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_add(held, g_strdup(id));
}

void
vimg_owner_drop(const char *id)
{
    LOCK_GUARD(&held_lock);

    if (held)
        g_hash_table_remove(held, id);
}

static gboolean
is_held(const char *id)
{
    LOCK_GUARD(&held_lock);

    return held && g_hash_table_contains(held, id);
}

/* Of this boot and process namespace; FALSE for what cannot be seen from here. */
static gboolean
is_gone(JsonObject *owner, const char *id)
{
    g_autofree char *space = pid_namespace();
    guint64 pid;
    guint64 start;

    if (!*space || g_strcmp0(vimg_json_string(owner, "pidNamespace"), space) != 0 ||
        !vimg_json_number(owner, "pid", &pid) || !vimg_json_number(owner, "start", &start))
        return FALSE;
    return process_ended(pid, start) || (pid == (guint64)getpid() && !is_held(id));
}

gboolean
vimg_owner_is_dead(const VimgBuffer *text, const char *id)
{
    g_autoptr(JsonObject) owner = text ? vimg_json_parse(text->data, text->size, NULL) : NULL;
    g_autofree char *boot = boot_id();

    if (is_of_earlier_boot(id))
        return TRUE;
    return owner && *boot && g_strcmp0(vimg_json_string(owner, "boot"), boot) == 0 &&
           is_gone(owner, id);
}

char *
vimg_owner_describe(JsonObject *owner)
{
    const char *host = vimg_json_string(owner, "host");
    guint64 pid = 0;

    if (!host)
        return NULL;
    vimg_json_number(owner, "pid", &pid);
    return g_strdup_printf("%s (%" G_GUINT64_FORMAT ")", host, pid);
}
