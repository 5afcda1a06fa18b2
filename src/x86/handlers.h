/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every instruction that C executes: mnemonic, handler. One list makes prototypes and table.
 * Internal to src/x86. */
#ifndef YADO_X86_HANDLERS_H
#define YADO_X86_HANDLERS_H

#include "x86/operand.h"

/* clang-format off */
/* segment.c, transfer.c: segment registers, tables, far control transfers */
#define X86_HANDLERS_SEGMENT(X) \
    X(LDS, load_far_pointer) X(LES, load_far_pointer) X(LFS, load_far_pointer) \
    X(LGS, load_far_pointer) X(LSS, load_far_pointer) \
    X(LGDT, lgdt) X(LIDT, lidt) X(SGDT, sgdt) X(SIDT, sidt) \
    X(LLDT, lldt) X(LTR, ltr) X(SLDT, sldt) X(STR, str) \
    X(LAR, lar) X(LSL, lsl) X(VERR, verr) X(VERW, verw) X(ARPL, arpl) \
    X(JMP, jmp) X(CALL, call) X(RET, ret) \
    X(IRET, iret) X(IRETD, iret) X(IRETQ, iret) \
    X(INT, int) X(INT3, int3) X(INT1, int1) X(INTO, into)

/* control.c: control and debug registers, flags, caches */
#define X86_HANDLERS_CONTROL(X) \
    X(CLTS, clts) X(LMSW, lmsw) X(SMSW, smsw) X(XSETBV, xsetbv) X(XGETBV, xgetbv) \
    X(INVLPG, invlpg) X(INVPCID, invpcid) X(WBINVD, wbinvd) X(INVD, wbinvd) \
    X(SWAPGS, swapgs) X(RDFSBASE, rdfsbase) X(RDGSBASE, rdgsbase) \
    X(WRFSBASE, wrfsbase) X(WRGSBASE, wrgsbase) \
    X(CLI, cli) X(STI, sti) X(CLAC, clac) X(STAC, stac) \
    X(PUSHF, pushf) X(PUSHFD, pushf) X(PUSHFQ, pushf) \
    X(POPF, popf) X(POPFD, popf) X(POPFQ, popf) \
    X(HLT, hlt) X(RDTSC, rdtsc) X(RDTSCP, rdtscp) X(RDPMC, rdpmc) X(RDPID, rdpid) \
    X(CPUID, cpuid) X(RSM, rsm) X(RDMSR, rdmsr) X(WRMSR, wrmsr) X(VMCALL, vmcall) X(VMMCALL, vmcall) \
    X(UD0, undefined) X(UD1, undefined) X(UD2, undefined)

/* syscall.c */
#define X86_HANDLERS_SYSCALL(X) \
    X(SYSCALL, syscall) X(SYSRET, sysret) X(SYSENTER, sysenter) X(SYSEXIT, sysexit)

/* xsave.c: images of the x87 and vector registers */
#define X86_HANDLERS_XSAVE(X) \
    X(FXSAVE, fxsave) X(FXSAVE64, fxsave) X(FXRSTOR, fxrstor) X(FXRSTOR64, fxrstor) \
    X(XSAVE, xsave) X(XSAVE64, xsave) X(XSAVEOPT, xsaveopt) X(XSAVEOPT64, xsaveopt) \
    X(XSAVEC, xsavec) X(XSAVEC64, xsavec) X(XRSTOR, xrstor) X(XRSTOR64, xrstor) \
    X(XSAVES, xsaves) X(XSAVES64, xsaves) X(XRSTORS, xrstors) X(XRSTORS64, xrstors)

/* string.c */
#define X86_HANDLERS_STRING(X) \
    X(MOVSB, movs) X(MOVSW, movs) X(MOVSD, movs) X(MOVSQ, movs) \
    X(STOSB, stos) X(STOSW, stos) X(STOSD, stos) X(STOSQ, stos) \
    X(LODSB, lods) X(LODSW, lods) X(LODSD, lods) X(LODSQ, lods) \
    X(SCASB, scas) X(SCASW, scas) X(SCASD, scas) X(SCASQ, scas) \
    X(CMPSB, cmps) X(CMPSW, cmps) X(CMPSD, cmps) X(CMPSQ, cmps) \
    X(INSB, ins) X(INSW, ins) X(INSD, ins) X(OUTSB, outs) X(OUTSW, outs) X(OUTSD, outs)

/* legacy.c */
#define X86_HANDLERS_LEGACY(X) \
    X(IN, in) X(OUT, out) X(DAA, daa) X(DAS, das) X(AAA, aaa) X(AAS, aas) X(AAM, aam) \
    X(AAD, aad) X(SALC, salc) X(BOUND, bound) X(XLAT, xlat) \
    X(PUSHA, pusha) X(PUSHAD, pusha) X(POPA, popa) X(POPAD, popa) \
    X(ENTER, enter) X(LEAVE, leave)

/* arith.c, interpret.c: ordinary integer instructions */
#define X86_HANDLERS_ARITHMETIC(X) \
    X(ADD, binary) X(ADC, binary) X(SUB, binary) X(SBB, binary) X(AND, binary) X(OR, binary) \
    X(XOR, binary) X(CMP, compare) X(TEST, compare) \
    X(INC, unary) X(DEC, unary) X(NEG, unary) X(NOT, unary) \
    X(SHL, shift) X(SHR, shift) X(SAR, shift) X(ROL, shift) X(ROR, shift) X(RCL, shift) \
    X(RCR, shift) X(SHLD, double_shift) X(SHRD, double_shift) \
    X(XCHG, xchg) X(XADD, xadd) X(CMPXCHG, cmpxchg) X(CMPXCHG8B, cmpxchg8b) \
    X(CMPXCHG16B, cmpxchg16b) \
    X(BT, bit_test) X(BTS, bit_test) X(BTR, bit_test) X(BTC, bit_test) \
    X(BSF, bit_scan) X(BSR, bit_scan) X(LZCNT, bit_scan) X(TZCNT, bit_scan) X(POPCNT, bit_scan) \
    X(MUL, mul) X(IMUL, imul) X(DIV, div) X(IDIV, idiv) X(ADCX, add_chain) X(ADOX, add_chain) \
    X(CRC32, crc32)

#define X86_HANDLERS_INTEGER(X) \
    X(MOV, mov) X(MOVZX, mov) X(MOVNTI, mov) X(MOVSX, mov_signed) X(MOVSXD, mov_signed) \
    X(LEA, lea) X(MOVBE, movbe) X(BSWAP, bswap) \
    X(CBW, widen_a) X(CWDE, widen_a) X(CDQE, widen_a) X(CWD, widen_d) X(CDQ, widen_d) \
    X(CQO, widen_d) X(PUSH, push) X(POP, pop) \
    X(SETO, setcc) X(SETNO, setcc) X(SETB, setcc) X(SETNB, setcc) X(SETZ, setcc) \
    X(SETNZ, setcc) X(SETBE, setcc) X(SETNBE, setcc) X(SETS, setcc) X(SETNS, setcc) \
    X(SETP, setcc) X(SETNP, setcc) X(SETL, setcc) X(SETNL, setcc) X(SETLE, setcc) \
    X(SETNLE, setcc) \
    X(CMOVO, cmovcc) X(CMOVNO, cmovcc) X(CMOVB, cmovcc) X(CMOVNB, cmovcc) X(CMOVZ, cmovcc) \
    X(CMOVNZ, cmovcc) X(CMOVBE, cmovcc) X(CMOVNBE, cmovcc) X(CMOVS, cmovcc) X(CMOVNS, cmovcc) \
    X(CMOVP, cmovcc) X(CMOVNP, cmovcc) X(CMOVL, cmovcc) X(CMOVNL, cmovcc) X(CMOVLE, cmovcc) \
    X(CMOVNLE, cmovcc) \
    X(JO, jcc) X(JNO, jcc) X(JB, jcc) X(JNB, jcc) X(JZ, jcc) X(JNZ, jcc) X(JBE, jcc) \
    X(JNBE, jcc) X(JS, jcc) X(JNS, jcc) X(JP, jcc) X(JNP, jcc) X(JL, jcc) X(JNL, jcc) \
    X(JLE, jcc) X(JNLE, jcc) X(JCXZ, jcxz) X(JECXZ, jcxz) X(JRCXZ, jcxz) \
    X(LOOP, loop) X(LOOPE, loop) X(LOOPNE, loop) \
    X(CLC, flag) X(STC, flag) X(CMC, flag) X(CLD, flag) X(STD, flag) X(LAHF, lahf) \
    X(SAHF, sahf) X(NOP, nop) X(PAUSE, nop) X(PREFETCH, nop) X(PREFETCHW, nop) \
    X(PREFETCHNTA, nop) X(PREFETCHT0, nop) X(PREFETCHT1, nop) X(PREFETCHT2, nop) \
    X(CLFLUSH, nop) X(CLFLUSHOPT, nop) X(CLWB, nop) \
    X(LFENCE, fence) X(SFENCE, fence) X(MFENCE, fence)

#define X86_HANDLERS(X) \
    X86_HANDLERS_SEGMENT(X) X86_HANDLERS_CONTROL(X) X86_HANDLERS_SYSCALL(X) \
    X86_HANDLERS_XSAVE(X) X86_HANDLERS_STRING(X) X86_HANDLERS_LEGACY(X) \
    X86_HANDLERS_ARITHMETIC(X) X86_HANDLERS_INTEGER(X)

/* clang-format on */
#define X(mnemonic, name) \
    enum x86_next x86_do_##name(struct x86_cpu *cpu, const struct x86_insn *insn);
X86_HANDLERS(X)
#undef X

/* MOV with a segment, control or debug register (segment.c, control.c). */
enum x86_next x86_do_mov_segment(struct x86_cpu *cpu, const struct x86_insn *insn);
enum x86_next x86_do_mov_control(struct x86_cpu *cpu, const struct x86_insn *insn);
enum x86_next x86_do_mov_debug(struct x86_cpu *cpu, const struct x86_insn *insn);
enum x86_next x86_do_push_segment(struct x86_cpu *cpu, const struct x86_insn *insn);
enum x86_next x86_do_pop_segment(struct x86_cpu *cpu, const struct x86_insn *insn);

/* The bits of CR4 that this model has (control.c). */
uint64_t x86_cr4_allowed(const struct x86_cpu *cpu);

/* The permission of IN, OUT, INS and OUTS: IOPL or the TSS's bitmap, else #GP(0). */
void x86_io_check(struct x86_cpu *cpu, uint16_t port, unsigned size);

/* MSRs (msr.c). False: #GP(0). */
bool x86_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value);
bool x86_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value);

#endif
