/*
 * nosymbol.c: a module that is no backend
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
int vimg_test_no_backend = 1;
