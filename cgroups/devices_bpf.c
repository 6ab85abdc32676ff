/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assembler of the device program.
 *
 * What the rules mean. The kernel asks about one device and a set of accesses at
 * once: "mknod", "read", "write", or "read and write" for an O_RDWR open. Each
 * access of the set is decided alone, by the last rule that names this device and
 * this access; the request passes when all of the set do. So
 *   - "allow rw" and then a request for more than rw: denied, nothing allows the rest;
 *   - "allow r", "allow w": an O_RDWR open passes, as with v1's device controller,
 *     which added up the rules of a device;
 *   - "allow rwm", "deny w": reading passes; writing, and O_RDWR, does not.
 * A device or access that no rule names is denied. A rule without any access says
 * nothing.
 *
 * How. The program keeps the set of accesses still undecided and goes through the
 * rules from last to first. A rule for this device that denies one of them ends it
 * with "no"; one that allows takes its accesses out, and when none is left ends it
 * with "yes". A rule for every device and every access always ends it, so what
 * comes before it is left out (the kernel refuses unreachable code).
 */
#include "cgroups/devices_bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>

#include "cgroups/cgroup.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define ACCESS_ALL (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)

/* The kernel's dev_t has 12 bits of major and 20 of minor number. */
#define MAJOR_MAX 0xfff
#define MINOR_MAX 0xfffff
#define NUMBER_ANY (-1)

/* Registers. R0 is the result and R1 the context by the kernel's convention. */
#define R_RESULT BPF_REG_0
#define R_CTX BPF_REG_1
#define R_TYPE BPF_REG_2
#define R_ACCESS BPF_REG_3	/* still undecided */
#define R_MAJOR BPF_REG_4
#define R_MINOR BPF_REG_5

#define PROLOGUE_LEN 6
#define RULE_MAX_LEN 11	/* match 3, decide 2, answer 2, forget 4 */
#define EPILOGUE_LEN 2

struct code {
	struct bpf_insn *insns;
	size_t n;
};

static void emit(struct code *c, struct bpf_insn insn)
{
	c->insns[c->n++] = insn;
}

static void emit_load(struct code *c, uint8_t reg, size_t offset)
{
	emit(c, (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = reg & 0xfU, .src_reg = R_CTX,
				   .off = (int16_t)offset });
}

/* 32-bit arithmetic with a constant. */
static void emit_alu(struct code *c, uint8_t op, uint8_t reg, uint32_t value)
{
	emit(c, (struct bpf_insn){ .code = (uint8_t)(BPF_ALU | op | BPF_K), .dst_reg = reg & 0xfU, .imm = (int32_t)value });
}

/* A 32-bit comparison with a constant (5.1); its target is set by land(). Gives its index. */
static size_t emit_jump(struct code *c, uint8_t op, uint8_t reg, uint32_t value)
{
	emit(c, (struct bpf_insn){ .code = (uint8_t)(BPF_JMP32 | op | BPF_K), .dst_reg = reg & 0xfU, .imm = (int32_t)value });
	return c->n - 1;
}

/* The jump at index goes to what is emitted next. */
static void land(struct code *c, size_t index)
{
	c->insns[index].off = (int16_t)(c->n - index - 1);
}

static void emit_answer(struct code *c, bool yes)
{
	emit_alu(c, BPF_MOV, R_RESULT, yes);
	emit(c, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT });
}

static void emit_load_type(struct code *c)
{
	/* access_type is (accesses << 16) | type */
	emit_load(c, R_TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit_alu(c, BPF_AND, R_TYPE, 0xffff);
}

static void emit_load_major(struct code *c)
{
	emit_load(c, R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
}

static void emit_load_minor(struct code *c)
{
	emit_load(c, R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
}

static void emit_prologue(struct code *c)
{
	emit_load(c, R_ACCESS, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit_alu(c, BPF_RSH, R_ACCESS, 16);
	emit_load_type(c);
	emit_load_major(c);
	emit_load_minor(c);
}

static uint32_t rule_access(const struct cgroup_device_rule *rule)
{
	return (rule->read ? (uint32_t)BPF_DEVCG_ACC_READ : 0) | (rule->write ? (uint32_t)BPF_DEVCG_ACC_WRITE : 0) |
	       (rule->mknod ? (uint32_t)BPF_DEVCG_ACC_MKNOD : 0);
}

static bool is_for_everything(const struct cgroup_device_rule *rule)
{
	return rule->type == 'a' && rule->major == NUMBER_ANY && rule->minor == NUMBER_ANY &&
	       rule_access(rule) == ACCESS_ALL;
}

/* The tests whether this is a device of the rule; gives the jumps that are taken if not. */
static size_t emit_match(struct code *c, const struct cgroup_device_rule *rule, size_t others[3])
{
	size_t n = 0;

	if (rule->type != 'a')
		others[n++] = emit_jump(c, BPF_JNE, R_TYPE, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	if (rule->major != NUMBER_ANY)
		others[n++] = emit_jump(c, BPF_JNE, R_MAJOR, (uint32_t)rule->major);
	if (rule->minor != NUMBER_ANY)
		others[n++] = emit_jump(c, BPF_JNE, R_MINOR, (uint32_t)rule->minor);
	return n;
}

/*
 * For a device that matched but is not decided yet. Here the verifier knows the
 * numbers' values and would check all the rest of the program once more for each
 * such rule, which is too much for it from some hundred rules on. Loaded again they
 * are unknown again, and it sees that it has been there.
 */
static void emit_forget(struct code *c, const struct cgroup_device_rule *rule)
{
	if (rule->type != 'a')
		emit_load_type(c);
	if (rule->major != NUMBER_ANY)
		emit_load_major(c);
	if (rule->minor != NUMBER_ANY)
		emit_load_minor(c);
}

static void emit_rule(struct code *c, const struct cgroup_device_rule *rule)
{
	uint32_t access = rule_access(rule);
	size_t others[3], n = emit_match(c, rule, others);

	if (access == ACCESS_ALL) {
		emit_answer(c, rule->allow);
	} else {
		size_t undecided;

		if (rule->allow) {
			emit_alu(c, BPF_AND, R_ACCESS, ~access);
			undecided = emit_jump(c, BPF_JNE, R_ACCESS, 0);
		} else {
			size_t hit = emit_jump(c, BPF_JSET, R_ACCESS, access);

			undecided = c->n;
			emit(c, (struct bpf_insn){ .code = BPF_JMP | BPF_JA });
			land(c, hit);
		}
		emit_answer(c, rule->allow);
		land(c, undecided);
		emit_forget(c, rule);
	}
	for (size_t i = 0; i < n; i++)
		land(c, others[i]);
}

static int check_rule(const struct cgroup_device_rule *rule, size_t i)
{
	if (rule->type != 'a' && rule->type != 'b' && rule->type != 'c')
		return ERR_PLAIN(-EINVAL, "device rule %zu: type '%c' is not one of a, b, c", i, rule->type);
	if (rule->major < NUMBER_ANY || rule->major > MAJOR_MAX)
		return ERR_PLAIN(-EINVAL, "device rule %zu: no device has major number %lld", i, rule->major);
	if (rule->minor < NUMBER_ANY || rule->minor > MINOR_MAX)
		return ERR_PLAIN(-EINVAL, "device rule %zu: no device has minor number %lld", i, rule->minor);
	return 0;
}

int cgroup_devices_assemble(const struct cgroup_device_rule *rules, size_t n, struct bpf_insn **ret_insns,
			    size_t *ret_n)
{
	struct code c = { NULL, 0 };
	bool open_end = true;

	for (size_t i = 0; i < n; i++) {
		int r = check_rule(&rules[i], i);

		if (r < 0)
			return r;
	}
	if (n > SIZE_MAX / sizeof(*c.insns) / RULE_MAX_LEN - PROLOGUE_LEN - EPILOGUE_LEN)
		return ERR_NOMEM();
	c.insns = calloc(n * RULE_MAX_LEN + PROLOGUE_LEN + EPILOGUE_LEN, sizeof(*c.insns));
	if (c.insns == NULL)
		return ERR_NOMEM();
	emit_prologue(&c);
	for (size_t i = n; i > 0 && open_end; i--) {
		const struct cgroup_device_rule *rule = &rules[i - 1];

		if (rule_access(rule) == 0)
			continue;
		emit_rule(&c, rule);
		open_end = !is_for_everything(rule);
	}
	if (open_end)
		emit_answer(&c, false);
	*ret_insns = c.insns;
	*ret_n = c.n;
	return 0;
}
