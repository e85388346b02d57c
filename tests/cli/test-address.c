/*
 * test-address.c: URIs, and what ssh is run with for them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/address.h"
#include "util/error.h"

/* ---- good ones -------------------------------------------------------------------------- */

typedef struct {
    const char *path;
    const char *uri;
    const char *name;
    const char *socket;
    gboolean session;
    const char *ssh; /* its arguments; NULL: it is not used */
} GoodCase;

#define SSH "ssh -T -e none -o ServerAliveInterval=15 "

static const GoodCase good[] = {
    {"/address/system", "image:///system", "image:///system", NULL, FALSE, NULL},
    {"/address/session", "image:///session", "image:///session", NULL, TRUE, NULL},
    {"/address/plain", "image:///", "image:///", NULL, FALSE, NULL},
    {"/address/mode", "image:///session?mode=direct", "image:///session", NULL, TRUE, NULL},
    {"/address/unix", "image+unix:///system?socket=/tmp/a%20b", "image:///system", "/tmp/a b",
     FALSE, NULL},
    {"/address/ssh", "image+ssh://host/system", "image:///system", NULL, FALSE,
     SSH "-- host virt-ssh-helper 'image:///system'"},
    {"/address/ssh-user", "image+ssh://me@host:2222/system", "image:///system", NULL, FALSE,
     SSH "-p 2222 -l me -- host virt-ssh-helper 'image:///system'"},
    {"/address/ssh-v6", "image+ssh://[::1]/session", "image:///session", NULL, TRUE,
     SSH "-- ::1 virt-ssh-helper 'image:///session'"},
    {"/address/ssh-options",
     "image+ssh://h/system?keyfile=/k&known_hosts=/h&no_verify=1&no_tty=1&command=/opt/ssh",
     "image:///system", NULL, FALSE,
     "/opt/ssh -T -e none -o ServerAliveInterval=15 -i /k -o UserKnownHostsFile=/h -o "
     "StrictHostKeyChecking=no -o BatchMode=yes -- h virt-ssh-helper 'image:///system'"},
    {"/address/ssh-no-options", "image+ssh://h/system?no_verify=0&no_tty=0&proxy=native",
     "image:///system", NULL, FALSE, SSH "-- h virt-ssh-helper 'image:///system'"},
    {"/address/ssh-netcat", "image+ssh://h/system?proxy=netcat", "image:///system", NULL, FALSE,
     SSH "-- h 'nc' -U '/run/libvirt/virtimaged-sock'"},
    {"/address/ssh-socket-alone", "image+ssh://h/system?socket=/x", "image:///system", "/x", FALSE,
     SSH "-- h 'nc' -U '/x'"},
    {"/address/ssh-socket", "image+ssh://h/system?netcat=ncat&socket=/a%27%3Bb", "image:///system",
     "/a';b", FALSE, SSH "-- h 'ncat' -U '/a'\\'';b'"},
};

static void
test_good(gconstpointer data)
{
    const GoodCase *c = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgAddress) address = vimg_address_new(c->uri, &error);
    g_auto(GStrv) argv = NULL;
    g_autofree char *line = NULL;

    g_assert_no_error(error);
    g_assert_cmpstr(address->name, ==, c->name);
    g_assert_cmpstr(address->socket, ==, c->socket);
    g_assert_cmpint(address->session, ==, c->session);
    g_assert_cmpint(address->host != NULL, ==, c->ssh != NULL);
    if (!c->ssh)
        return;
    argv = vimg_address_ssh(address, FALSE);
    line = g_strjoinv(" ", argv);
    g_assert_cmpstr(line, ==, c->ssh);
}

static void
test_read_only(void)
{
    g_autoptr(VimgAddress) address = vimg_address_new("image+ssh://h/system", NULL);
    g_auto(GStrv) argv = vimg_address_ssh(address, TRUE);

    g_assert_cmpstr(argv[g_strv_length(argv) - 1], ==, "virt-ssh-helper -r 'image:///system'");
}

/* ---- bad ones --------------------------------------------------------------------------- */

static const char *const bad[] = {
    "nothing-that-is-known",
    "qemu:///system",
    "image+tcp://h/system",
    "image:///other",
    "image:///system/",
    "image://h/system",
    "image+unix://h/system",
    "image+ssh:///system",
    "image+ssh://-v/system",
    "image+ssh://-v@h/system",
    "image+ssh://-oProxyCommand=id/system",
    "image+ssh://-oProxyCommand=id@h/system",
    "image+ssh://a%60id%60@h/system",
    "image+ssh://a%24b@h/system",
    "image+ssh://a%0ab@h/system",
    "image+ssh://me:secret@h/system",
    "image+ssh://h%3bid/system",
    "image+ssh://h/system?proxy=libssh",
    "image+ssh://h/system?unknown=1",
    "image:///system?keyfile=/k",
    "image:///system?socket",
    "image:///system?=",
    "image+ssh://h:99999/system",
    "://",
    "image:///system#\xff",
};

static void
test_bad(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgAddress) address = vimg_address_new(bad[i], &error);

        if (address)
            g_test_message("accepted: %s", bad[i]);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
        g_assert_null(strstr(error->message, "secret"));
    }
}

static void
test_default(void)
{
    g_autoptr(VimgAddress) address = NULL;

    g_setenv("VIRTIMAGE_DEFAULT_URI", "image+ssh://other/system", TRUE);
    address = vimg_address_new(NULL, NULL);
    g_assert_cmpstr(address->host, ==, "other");
}

/* ---- aliases ---------------------------------------------------------------------------- */

static const char config[] = "# uri_aliases = [\"hail=image+ssh://never/system\"]\n"
                             "uri_default = \"qemu:///system\"\n"
                             "uri_aliases = [\n"
                             "  \"hail=image+ssh://hail/system?no_tty=1\",\n"
                             "#  \"gone=image+ssh://gone/system\",\n"
                             "  'sleet=image+ssh://sleet/system',\n"
                             "]\n";

static void
test_alias(void)
{
    g_autofree char *hail = vimg_address_alias(config, "hail");
    g_autofree char *sleet = vimg_address_alias(config, "sleet");

    g_assert_cmpstr(hail, ==, "image+ssh://hail/system?no_tty=1");
    g_assert_cmpstr(sleet, ==, "image+ssh://sleet/system");
    g_assert_null(vimg_address_alias(config, "gone"));
    g_assert_null(vimg_address_alias(config, "hai"));
    g_assert_null(vimg_address_alias("", "hail"));
    g_assert_null(vimg_address_alias("uri_aliases = [\"hail=x\"", "hail"));
    g_assert_null(vimg_address_alias("uri_aliases = [\"\xff=x\"]", "hail"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
        g_test_add_data_func(good[i].path, &good[i], test_good);
    g_test_add_func("/address/read-only", test_read_only);
    g_test_add_func("/address/bad", test_bad);
    g_test_add_func("/address/default", test_default);
    g_test_add_func("/address/alias", test_alias);
    return g_test_run();
}
