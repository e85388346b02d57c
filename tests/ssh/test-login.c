/*
 * test-login.c: being let in by an SSH server, and being told why not
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/stat.h>

#include "sshd-helper.h"

static void
assert_refused(const VimgSshTarget *target, VimgErrorCode code, const char *pattern)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = vimg_ssh_connect(target, NULL, NULL, &error);

    g_assert_null(ssh);
    g_assert_error(error, VIMG_ERROR, (gint)code);
    g_assert_null(strstr(error->message, SSHD_PASSWORD));
    if (!g_pattern_match_simple(pattern, error->message))
        g_error("'%s' is not '%s'", error->message, pattern);
}

static void
assert_let_in(const VimgSshTarget *target)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = vimg_ssh_connect(target, NULL, NULL, &error);

    g_assert_no_error(error);
    g_assert_nonnull(ssh);
    g_assert_cmpint(vimg_ssh_fd(ssh), >=, 0);
    g_assert_nonnull(vimg_ssh_subsystem(ssh, "sftp", &error));
    g_assert_no_error(error);
}

static void
note_step(VimgSshStep step, const char *what, gpointer data)
{
    g_string_append_printf(data, "%d %s\n", step, what);
}

static void
test_password(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);

    assert_let_in(&target);
    assert_let_in(&target); /* by the key that was remembered */
}

static void
test_steps(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    g_autoptr(GString) steps = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = NULL;
    g_autofree char *expected = NULL;
    guint port = sshd->address.port;

    sshd->address.name = "127.0.0.1";
    ssh = vimg_ssh_connect(&target, note_step, steps, &error);
    g_assert_no_error(error);
    expected = g_strdup_printf("0 127.0.0.1\n1 127.0.0.1 port %u\n2 127.0.0.1 port %u\n"
                               "3 127.0.0.1 port %u\n4 127.0.0.1 port %u\n",
                               port, port, port, port);
    g_assert_cmpstr(steps->str, ==, expected);
}

static void
test_wrong_password(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    g_autoptr(VimgBuffer) wrong = vimg_buffer_new(5);

    memcpy(wrong->data, "wrong", 5);
    target.password = wrong;
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * refuses the password of user '*'");
    target.password = NULL;
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * neither a password nor a private key");
}

static void
test_no_passwords(void)
{
    g_autoptr(Sshd) sshd =
        sshd_new("ed25519", "PasswordAuthentication no\nKbdInteractiveAuthentication no\n");
    VimgSshTarget target = sshd_target(sshd);

    assert_refused(&target, VIMG_ERROR_AUTH, "login at * takes no passwords*");
}

/* Where questions are asked in the place of taking a password. */
static void
test_questions(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "UsePAM yes\nPasswordAuthentication no\n");
    VimgSshTarget target = sshd_target(sshd);
    g_autoptr(VimgBuffer) wrong = vimg_buffer_new(5);

    memcpy(wrong->data, "wrong", 5);
    assert_let_in(&target);
    target.password = wrong;
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * refuses the password of user '*'");
}

/* A password that is right, and not enough. */
static void
test_more_than_password(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "AuthenticationMethods password,publickey\n");
    VimgSshTarget target = sshd_target(sshd);
    g_autoptr(VimgBuffer) wrong = vimg_buffer_new(5);

    memcpy(wrong->data, "wrong", 5);
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * wants more (publickey): *");
    target.password = wrong;
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * refuses the password of user '*'");
}

/* The same of answers to questions, and of keys. */
static void
test_more_than_questions(void)
{
    g_autoptr(Sshd) sshd = sshd_new(
        "ed25519", "UsePAM yes\nAuthenticationMethods keyboard-interactive,publickey,password\n");
    VimgSshTarget target = sshd_target(sshd);

    assert_refused(&target, VIMG_ERROR_AUTH, "login at * wants more (publickey): *");
}

static void
test_more_than_key(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "AuthenticationMethods publickey,password\n");
    VimgSshTarget target = sshd_target(sshd);
    g_autofree char *key = sshd_user_key(sshd, "ed25519", "");

    target.password = NULL;
    target.identity = key;
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * wants more (password): *");
}

static guint n_wiped; /* pieces of memory with the password in them */

/* In the place of the C library's, to see what it is called for. */
void
explicit_bzero(void *data, size_t size)
{
    volatile char *bytes = data;
    void *volatile seen = data; /* the compiler knows that nobody reads here */
    size_t i;

    if (memmem(seen, size, SSHD_PASSWORD, strlen(SSHD_PASSWORD)))
        n_wiped++;
    for (i = 0; i < size; i++)
        bytes[i] = 0;
}

/* Answers are copied: what was said, and the packet in which it was said. */
static void
test_wiped(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "UsePAM yes\nPasswordAuthentication no\n");
    VimgSshTarget target = sshd_target(sshd);
    g_autofree char *path = sshd_user_key(sshd, "ed25519", SSHD_PASSWORD);

    n_wiped = 0;
    assert_let_in(&target);
    g_assert_cmpuint(n_wiped, >=, 2);
    target.identity = path;
    n_wiped = 0;
    assert_let_in(&target);
    g_assert_cmpuint(n_wiped, >=, 1);
}

static void
test_no_subsystem(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "Subsystem other /bin/false\n");
    VimgSshTarget target = sshd_target(sshd);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = vimg_ssh_connect(&target, NULL, NULL, &error);

    g_assert_no_error(error);
    g_assert_null(vimg_ssh_subsystem(ssh, "missing", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_assert_true(g_pattern_match_simple("subsystem at * failed: 'missing': *", error->message));
}

/* ---- private keys */

typedef struct {
    const char *path;
    const char *type;
    const char *passphrase;
    const char *given;   /* NULL: none */
    const char *refused; /* NULL: let in */
} KeyCase;

static const KeyCase key_cases[] = {
    {"/ssh/login/key/ed25519", "ed25519", "", NULL, NULL},
    {"/ssh/login/key/ecdsa", "ecdsa", "", NULL, NULL},
    {"/ssh/login/key/passphrase", "ed25519", "correct horse", SSHD_PASSWORD, NULL},
    {"/ssh/login/key/passphrase-ecdsa", "ecdsa", "correct horse", SSHD_PASSWORD, NULL},
    {"/ssh/login/key/passphrase-wrong", "ed25519", "correct horse", "wrong",
     "login at * private key '*' cannot be used: its passphrase is wrong*"},
    {"/ssh/login/key/passphrase-missing", "ed25519", "correct horse", NULL,
     "login at * private key '*' cannot be used: its passphrase is wrong*"},
    {"/ssh/login/key/rsa", "rsa", "", NULL, "login at * use an ed25519 or ECDSA key"},
    {"/ssh/login/key/rsa-passphrase", "rsa", "correct horse", SSHD_PASSWORD,
     "login at * use an ed25519 or ECDSA key"},
};

static void
test_key(gconstpointer data)
{
    const KeyCase *c = data;
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "PasswordAuthentication no\n");
    VimgSshTarget target = sshd_target(sshd);
    g_autofree char *path = sshd_user_key(sshd, c->type, c->passphrase);
    g_autoptr(VimgBuffer) given = vimg_buffer_new(c->given ? strlen(c->given) : 0);

    if (c->given)
        memcpy(given->data, c->given, given->size);
    target.identity = path;
    target.password = c->given ? given : NULL;
    if (c->refused)
        assert_refused(&target, VIMG_ERROR_AUTH, c->refused);
    else
        assert_let_in(&target);
}

static void
test_key_file(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    g_autofree char *path = sshd_user_key(sshd, "ed25519", "");
    g_autofree char *public = g_strconcat(path, ".pub", NULL);

    target.password = NULL;
    target.identity = path;
    g_assert_cmpint(chmod(path, 0640), ==, 0);
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * private key '*': others may read*0600");
    target.identity = public;
    g_assert_cmpint(chmod(public, 0600), ==, 0);
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * private key '*' cannot be used*");
    target.identity = sshd->dir;
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * private key '*': it is no file*");
    target.identity = "/nonexistent";
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * private key '/nonexistent': No such*");
    /* not among those that may log in */
    target.identity = path;
    g_assert_cmpint(chmod(path, 0600), ==, 0);
    g_free(sshd_user_key(sshd, "ecdsa", ""));
    assert_refused(&target, VIMG_ERROR_AUTH, "login at * refuses private key '*' of user '*'");
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ssh/login/password", test_password);
    g_test_add_func("/ssh/login/steps", test_steps);
    g_test_add_func("/ssh/login/wrong-password", test_wrong_password);
    g_test_add_func("/ssh/login/no-passwords", test_no_passwords);
    g_test_add_func("/ssh/login/questions", test_questions);
    g_test_add_func("/ssh/login/more-than-password", test_more_than_password);
    g_test_add_func("/ssh/login/more-than-questions", test_more_than_questions);
    g_test_add_func("/ssh/login/more-than-key", test_more_than_key);
    g_test_add_func("/ssh/login/wiped", test_wiped);
    g_test_add_func("/ssh/login/no-subsystem", test_no_subsystem);
    for (i = 0; i < G_N_ELEMENTS(key_cases); i++)
        g_test_add_data_func(key_cases[i].path, &key_cases[i], test_key);
    g_test_add_func("/ssh/login/key-file", test_key_file);
    return g_test_run();
}
