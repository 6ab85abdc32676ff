/* SPDX-License-Identifier: Apache-2.0 */
/* sec_mkelf INTERPRETER: writes to standard output an ELF program that asks for that interpreter. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#ifdef __x86_64__
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE
#endif

int main(int argc, char **argv)
{
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph[2];
		char interpreter[256];
	} f = { 0 };

	if (argc != 2 || strlen(argv[1]) >= sizeof(f.interpreter))
		return 2;
	memcpy(f.eh.e_ident, ELFMAG, SELFMAG);
	f.eh.e_ident[EI_CLASS] = ELFCLASS64;
	f.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	f.eh.e_ident[EI_VERSION] = EV_CURRENT;
	f.eh.e_type = ET_DYN;
	f.eh.e_machine = MACHINE;
	f.eh.e_version = EV_CURRENT;
	f.eh.e_phoff = sizeof(f.eh);
	f.eh.e_ehsize = sizeof(f.eh);
	f.eh.e_phentsize = sizeof(f.ph[0]);
	f.eh.e_phnum = 2;
	strcpy(f.interpreter, argv[1]);
	f.ph[0].p_type = PT_INTERP;
	f.ph[0].p_flags = PF_R;
	f.ph[0].p_offset = (size_t)((char *)f.interpreter - (char *)&f);
	f.ph[0].p_filesz = f.ph[0].p_memsz = strlen(argv[1]) + 1;
	f.ph[1].p_type = PT_LOAD;
	f.ph[1].p_flags = PF_R | PF_X;
	f.ph[1].p_filesz = f.ph[1].p_memsz = sizeof(f);
	f.ph[1].p_align = 4096;
	return fwrite(&f, sizeof(f), 1, stdout) == 1 ? 0 : 1;
}
