/*
 * test-host-info.c: other machines, as directories
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/utsname.h>
#include <glib/gstdio.h>

#include "rpc/host-info.h"
#include "util/uuid.h"

#define CPU "/sys/devices/system/cpu/"
#define FILES_MAX 24

typedef struct {
    const char *path;
    const char *text;
} File;

typedef struct {
    const char *name;
    File files[FILES_MAX];
    guint64 memory;
    int cpus, mhz, nodes, sockets, cores, threads;
} Machine;

/* cpus 0 means: as many as the machine the test runs on */
static const Machine machines[] = {
    {"nothing", {{"/proc/meminfo", "nonsense"}}, 0, 0, 0, 1, 1, 0, 1},
    {"laptop",
     {{"/proc/meminfo", "MemTotal:       16301234 kB\nMemFree: 5 kB\n"},
      {"/proc/cpuinfo", "processor\t: 0\nmodel name\t: x\ncpu MHz\t\t: 2596.152\n"},
      {CPU "online", "0-3\n"},
      {CPU "cpu0/topology/physical_package_id", "0\n"},
      {CPU "cpu0/topology/core_id", "0\n"},
      {CPU "cpu1/topology/physical_package_id", "0\n"},
      {CPU "cpu1/topology/core_id", "0\n"},
      {CPU "cpu2/topology/physical_package_id", "0\n"},
      {CPU "cpu2/topology/core_id", "1\n"},
      {CPU "cpu3/topology/physical_package_id", "0\n"},
      {CPU "cpu3/topology/core_id", "1\n"},
      {"/sys/devices/system/node/online", "0\n"}},
     16301234,
     4,
     2596,
     1,
     1,
     2,
     2},
    {"two-sockets-two-nodes",
     {{CPU "online", "0,2\n"},
      {CPU "cpu0/topology/physical_package_id", "0\n"},
      {CPU "cpu0/topology/core_id", "0\n"},
      {CPU "cpu2/topology/physical_package_id", "1\n"},
      {CPU "cpu2/topology/core_id", "0\n"},
      {CPU "cpu0/cpufreq/cpuinfo_max_freq", "3400000\n"},
      {"/sys/devices/system/node/online", "0-1\n"}},
     0,
     2,
     3400,
     2,
     1,
     1,
     1},
    {"more-nodes-than-sockets",
     {{CPU "online", "0-1\n"},
      {CPU "cpu0/topology/physical_package_id", "0\n"},
      {CPU "cpu0/topology/core_id", "0\n"},
      {CPU "cpu1/topology/physical_package_id", "0\n"},
      {CPU "cpu1/topology/core_id", "1\n"},
      {"/sys/devices/system/node/online", "0-3\n"}},
     0,
     2,
     0,
     1,
     1,
     2,
     1},
    {"dies",
     {{CPU "online", "0-1\n"},
      {CPU "cpu0/topology/physical_package_id", "0\n"},
      {CPU "cpu0/topology/die_id", "0\n"},
      {CPU "cpu0/topology/core_id", "0\n"},
      {CPU "cpu1/topology/physical_package_id", "0\n"},
      {CPU "cpu1/topology/die_id", "1\n"},
      {CPU "cpu1/topology/core_id", "0\n"}},
     0,
     2,
     0,
     1,
     1,
     2,
     1},
    {"silent-topology", {{CPU "online", "0-7\n"}}, 0, 8, 0, 1, 1, 8, 1},
    {"absurd-list", {{CPU "online", "0-99999999999999999999,7-3,x,-\n"}}, 0, 0, 0, 1, 1, 0, 1},
};

/* A directory with files, gone at the end of the test. */
static char *
make_root(const File *files)
{
    g_autoptr(GError) error = NULL;
    char *root = g_dir_make_tmp("host-info-XXXXXX", &error);

    g_assert_no_error(error);
    for (guint i = 0; i < FILES_MAX && files[i].path; i++) {
        g_autofree char *path = g_strconcat(root, files[i].path, NULL);
        g_autofree char *dir = g_path_get_dirname(path);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
        g_assert_true(g_file_set_contents(path, files[i].text, -1, NULL));
    }
    return root;
}

static void
remove_root(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_root(child);
    }
    g_remove(path);
}

static void
test_machine(gconstpointer data)
{
    const Machine *m = data;
    g_autofree char *root = make_root(m->files);
    int cpus = m->cpus ? m->cpus : (int)g_get_num_processors();
    struct utsname name;
    VimgHostInfo info;

    vimg_host_info_read(root, &info);
    remove_root(root);
    g_assert_cmpint(uname(&name), ==, 0);
    g_assert_cmpstr(info.arch, ==, name.machine);
    g_assert_cmpuint(info.memory, ==, m->memory);
    g_assert_cmpint(info.cpus, ==, cpus);
    g_assert_cmpint(info.mhz, ==, m->mhz);
    g_assert_cmpint(info.nodes, ==, m->nodes);
    g_assert_cmpint(info.sockets, ==, m->sockets);
    g_assert_cmpint(info.cores, ==, m->cores ? m->cores : cpus);
    g_assert_cmpint(info.threads, ==, m->threads);
}

static void
test_uuid(void)
{
    static const struct {
        File files[FILES_MAX];
        const char *expected; /* NULL: none */
    } rows[] = {
        {{{"/sys/class/dmi/id/product_uuid", "3D1219C7-C4C5-404A-AA1F-6D2A48ADFDA4\n"},
          {"/etc/machine-id", "00112233445566778899aabbccddeeff\n"}},
         "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"},
        {{{"/sys/class/dmi/id/product_uuid", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF\n"},
          {"/etc/machine-id", "00112233445566778899aabbccddeeff\n"}},
         "00112233-4455-6677-8899-aabbccddeeff"},
        {{{"/etc/machine-id", "uninitialized\n"}}, NULL},
        {{{"/etc/other", ""}}, NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *root = make_root(rows[i].files);
        guint8 uuid[VIMG_UUID_SIZE] = {0};
        char text[VIMG_UUID_TEXT_SIZE];
        gboolean found = vimg_host_uuid_read(root, uuid);

        remove_root(root);
        g_assert_cmpint(found, ==, rows[i].expected != NULL);
        vimg_uuid_format(uuid, text);
        if (found)
            g_assert_cmpstr(text, ==, rows[i].expected);
    }
}

static void
test_capabilities(void)
{
    g_autofree char *root = make_root(machines[1].files);
    g_autofree char *xml = vimg_host_capabilities(root);

    remove_root(root);
    g_assert_nonnull(strstr(xml, "<topology sockets='1' dies='1' cores='2' threads='2'/>"));
    g_assert_null(strstr(xml, "<uuid>"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(machines); i++) {
        g_autofree char *path = g_strconcat("/host-info/", machines[i].name, NULL);

        g_test_add_data_func(path, &machines[i], test_machine);
    }
    g_test_add_func("/host-info/uuid", test_uuid);
    g_test_add_func("/host-info/capabilities", test_capabilities);
    return g_test_run();
}
