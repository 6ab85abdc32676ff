/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How commands speak to the supervisor of a microVM: a socket in the container's state directory (SOCK_SEQPACKET, for
 * root only, as the directory is). One connection is one command's: requests and replies in turn; what an exec session or a
 * watcher is told later comes by itself, as VM_EXITED and VM_OOM.
 *
 * Both ends are this program; they may be of different versions while it is upgraded, so each message has one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define VM_SOCKET "vm.sock"
#define VM_CONTROL_VERSION 1

enum vm_message_type {
	/* to the supervisor */
	VM_START = 1,		/* text: JSON (net_wire.h), the network that has come since create, when cards have waited for one */
	VM_SIGNAL,		/* value: the signal; flag: to all */
	VM_EXEC,		/* flag: CHANNEL_EXEC_*; value: as VM_RESIZE; text: sub-cgroup; fds: the process object (memfd), stdin, stdout, stderr */
	VM_EXEC_START,
	VM_RESIZE,		/* value: rows << 16 | columns */
	VM_PAUSE,
	VM_RESUME,
	VM_PAUSED,		/* reply: value */
	VM_UPDATE,		/* fds: the resources object (memfd) */
	VM_STATS,		/* reply: text, JSON */
	VM_PIDS,		/* reply: bytes, channel_get_pids() */
	VM_OOM,			/* reply: bytes, channel_get_oom() */
	VM_WATCH,		/* VM_OOM_EVENT from now on */
	/*
	 * flag: MiB that the whole may use, 0: no limit; what is above is taken from the guest. reply: 4 bytes, little-endian, the MiB that
	 * it has still to give, as far as is known; who waits for it asks again.
	 */
	VM_MEMORY,
	VM_REQUEST_LAST = VM_MEMORY,
	/* from the supervisor */
	VM_REPLY,		/* err, text */
	VM_EXITED,		/* value: the status of wait(2) */
	VM_OOM_EVENT,		/* bytes, channel_get_oom() */
	/* Another one to the supervisor: the numbers of the others stay. */
	VM_PROCESSES,		/* value: the pid above which they are; reply: bytes, channel_get_process() */
	VM_SPARE_NETS,		/* reply: 4 bytes, little-endian: how many network cards wait for an interface */
};

#define VM_FDS_MAX 4
/* A reply's text: more than the statistics of a cgroup with a hundred devices. */
#define VM_TEXT_MAX 131072

struct vm_message {
	uint16_t version, type;
	int32_t err;		/* 0 or -errno; the text says what it is about */
	int32_t value;
	uint32_t flag;
	uint32_t len;		/* of the text */
};

/* What a request carries besides its header. */
struct vm_extra {
	const char *text;	/* of the header's len bytes; NULL when that is 0 */
	const int *fds;
	size_t n_fds;
};

/*
 * One message, with a text of h->len bytes and up to VM_FDS_MAX descriptors. 0 or -errno (-EPIPE: nobody there), no
 * text; never raises SIGPIPE. flags: MSG_DONTWAIT or 0.
 */
int vm_message_send(int sock, const struct vm_message *h, const char *text, const int *fds, size_t n_fds, int flags);

/*
 * The next one. text has VM_TEXT_MAX + 1 bytes and is terminated; fds are close-on-exec, the caller's, and FD_NONE where
 * there is none. 0; -EPIPE at the end; -EPROTO for what is no such message, of another version, or too long.
 */
int vm_message_receive(int sock, struct vm_message *ret, char *text, int ret_fds[VM_FDS_MAX], int flags);

/* A sealed memory file with this content, to be passed on. -errno with text. */
int vm_payload(const char *data, size_t len, int *ret_fd);

/* ---- the commands' end ---- */

/* To the supervisor of the container with this state directory. -errno with text. */
int vm_connect(int state_dir, const char *id, int *ret_sock);

/*
 * A request without descriptors and its reply. *ret_text: the reply's bytes, malloc'ed, NUL-terminated; both may be NULL. An error of the
 * supervisor or the guest comes back as such, with its text or one of ours; -ETIMEDOUT: no answer.
 */
int vm_call(int sock, enum vm_message_type type, int32_t value, uint32_t flag, char **ret_text, size_t *ret_len);
/* The two halves of it, for who waits in between for something else as well. request: the type that was asked for. */
int vm_ask(int sock, const struct vm_message *h, const struct vm_extra *extra);
int vm_answer(int sock, enum vm_message_type request, char **ret_text, size_t *ret_len);
int vm_call_with(int sock, const struct vm_message *h, const struct vm_extra *extra, char **ret_text, size_t *ret_len);
