/* SPDX-License-Identifier: Apache-2.0 */
/* /dev of a container: default devices and links, linux.devices, the console. runtime-spec config-linux "Devices". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct device_req {
	const char *path;	/* inside the root file system */
	mode_t type;		/* S_IFCHR, S_IFBLK, S_IFIFO */
	unsigned int major, minor;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/*
 * Makes one configured device node. EPERM (a user namespace may not mknod): the host's
 * device of the same path, checked to be this one, is bound over. Something else there already is -EEXIST.
 */
int device_make(int root, const struct device_req *d);

/*
 * null zero full random urandom tty; the links fd stdin stdout stderr and ptmx ->
 * pts/ptmx. A plain file of a default device's name (an exported image) gets the host's device bound over.
 */
int device_defaults(int root);

/*
 * Opens a new terminal in the container's own devpts: the ptmx by fd below root, checked
 * to be devpts's, the slave by TIOCGPTPEER (never by its name: CVE-2025-52565).
 */
int console_open(int root, int *ret_ptm, int *ret_pts);
/* Binds the slave over /dev/console. */
int console_bind(int root, int pts);
int console_resize(int ptm, uint16_t height, uint16_t width);
